"""The law of docs/reliability.md over sockets, for any schedule of faults and pauses."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate import Outcome, TransferOptions
from sluicegate.testing import (
    MIB,
    OK,
    Bandwidth,
    ClientAnswer,
    Close,
    Garbage,
    Generated,
    HangUp,
    IgnoreRange,
    NoLength,
    Overrun,
    Replaced,
    Reset,
    SlowClient,
    Stall,
    Status,
    WrongSpan,
)
from sluicegate.testing.faults import Fault

from .service import HASTY, KINDS, PART, PATH, AppServer, Kind, serving

VERSIONS = [Generated(2 * MIB, seed) for seed in range(2)]

positions = st.one_of(st.integers(0, 3), st.integers(0, 2 * MIB), st.just(600_000))
faults: st.SearchStrategy[Fault | tuple[Fault, ...]] = st.one_of(
    st.just(OK),
    st.builds(Reset, positions),
    st.builds(Close, positions),
    st.builds(Stall, positions),
    st.sampled_from([Status(500), Status(503), Status(429, retry_after=1), Status(404), Status(403)]),
    st.sampled_from([HangUp(), HangUp(reset=True), Garbage(), IgnoreRange(), WrongSpan(1)]),
    st.sampled_from([Bandwidth(4 * MIB), NoLength(), Overrun(7)]),
    st.just(Replaced(VERSIONS[1])),
)
transfers = st.builds(
    TransferOptions,
    part_size=st.just(PART),
    read_ahead=st.sampled_from([0, 4 * PART]),
    park_after=st.sampled_from([None, 0.1]),
    give_up_after=st.just(3.0),
)
pauses = st.lists(st.tuples(st.integers(1, MIB), st.sampled_from([0.0, 0.05, 0.25])), max_size=3)


async def _got(
    server: AppServer,
    kind: Kind,
    options: TransferOptions,
    script: list[Fault | tuple[Fault, ...]],
    pauses: list[tuple[int, float]],
) -> None:
    async with serving(server, kind, options, read_timeout=HASTY, content=VERSIONS[0]) as service:
        service.origin.script(PATH, script)
        async with SlowClient(service.url, receive_buffer=65536) as client:
            await client.send("GET", "/")
            content = b""
            for count, seconds in pauses:
                content += await client.read(count)
                await client.pause(seconds)
            answer = await client.drain()
        record = await service.record()
        _check(answer, content + answer.content, record.outcome)


def _check(answer: ClientAnswer, content: bytes, outcome: Outcome) -> None:
    """A prefix of one version, and the whole if and only if it ended cleanly."""
    if answer.status != 200:
        assert (answer.complete, outcome) == (True, Outcome.COMPLETE)
        return
    etags = (answer.get("etag") or "").strip('"')
    assert any(
        content == version.read(0, len(content)) and answer.complete == (len(content) == version.size)
        for version in VERSIONS
    ), (etags, len(content), answer.complete)
    assert (outcome is Outcome.COMPLETE) == answer.complete


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(KINDS), transfers, st.lists(faults, max_size=5), pauses)
def test_client_gets_a_prefix_of_one_version_and_the_whole_if_it_ended_cleanly(
    app_server: AppServer,
    kind: Kind,
    options: TransferOptions,
    script: list[Fault | tuple[Fault, ...]],
    pauses: list[tuple[int, float]],
) -> None:
    asyncio.run(_got(app_server, kind, options, script, pauses))
