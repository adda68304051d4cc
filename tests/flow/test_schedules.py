"""The law of bodies in parts, for any schedule of faults and pauses.

What a client gets is a prefix of one version of the object, and the whole of it if and only if it ended
cleanly. Nothing is held afterwards, and never more than the budget.
"""

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    Denied,
    NotFound,
    OriginTimeout,
    SourceError,
    Throttled,
    Unavailable,
)
from sluicegate.flow.budget import Budget
from sluicegate.flow.options import TransferOptions
from sluicegate.flow.parted import PartedSource
from sluicegate.http.ranges import FromTo, RangeSpec
from sluicegate.sources.base import Body, Found, OpenRequest

from .faulty import (
    FINE,
    Break,
    Event,
    Everything,
    FaultyMemory,
    Gone,
    Hang,
    Lengthen,
    Refuse,
    Replace,
    Shift,
    content_of,
)
from .virtual_time import NO_RETURN, run

PART = 64 * 1024
LARGEST = 12 * PART
VERSIONS = [content_of(LARGEST, seed) for seed in range(3)]

positions = st.one_of(st.integers(0, 3), st.integers(0, LARGEST), st.just(PART), st.just(PART - 1))
errors = st.sampled_from(
    [
        BrokenBody("x"),
        Unavailable("x"),
        OriginTimeout("x"),
        Throttled("x"),
        Throttled("x", 2.0),
        Throttled("x", 600.0),
        Denied("x"),
        BadAnswer("x"),
        NotFound("x"),
    ]
)
passing = st.sampled_from([BrokenBody("x"), Unavailable("x"), OriginTimeout("x"), Throttled("x", 1.0)])
harmless: st.SearchStrategy[Event] = st.one_of(
    st.just(FINE),
    st.builds(Refuse, passing, st.floats(0, 3)),
    st.builds(Break, positions, st.one_of(st.none(), passing)),
    st.builds(Hang, positions, st.floats(0, 20)),
)
events: st.SearchStrategy[Event] = st.one_of(
    harmless,
    st.builds(Refuse, errors, st.floats(0, 70)),
    st.sampled_from([Replace(VERSIONS[1], "v2"), Replace(VERSIONS[2], "v3")]),
    st.just(Gone()),
    st.builds(Shift, st.integers(1, 5)),
    st.just(Everything()),
    st.just(Lengthen()),
)


@dataclass(frozen=True)
class Client:
    """How a client reads: before each of so many reads it pauses for so many seconds."""

    pauses: tuple[float, ...]
    leaves_after: int | None = None

    async def read(self, body: Body) -> tuple[bytes, bool]:
        """What it got, and whether that ended cleanly."""
        content, reads = bytearray(), 0
        try:
            while reads != self.leaves_after:
                await asyncio.sleep(self.pauses[reads] if reads < len(self.pauses) else 0)
                reads += 1
                chunk = await body.read()
                if not chunk:
                    return bytes(content), True
                content += chunk
        except SourceError:
            pass
        finally:
            await body.aclose()
        return bytes(content), False


pauses = st.lists(st.one_of(st.just(0.0), st.floats(0, 5), st.just(3600.0)), max_size=30).map(tuple)
options = st.builds(
    TransferOptions,
    part_size=st.just(PART),
    read_ahead=st.sampled_from([0, PART, 3 * PART, 8 * PART]),
    park_after=st.sampled_from([None, 0.5, 2.0]),
    give_up_after=st.sampled_from([5.0, 180.0]),
)


@dataclass
class Result:
    content: bytes
    ended_cleanly: bool
    version: bytes


def result_of(
    origin: FaultyMemory, transfers: TransferOptions, client: Client, spec: RangeSpec | None, budget: Budget
) -> Result | None:
    """What a client gets; nothing if there is no answer with a body."""
    most_taken = 0

    class Watched(Budget):
        def take(self, size: int) -> bool:
            nonlocal most_taken
            taken = budget.take(size)
            most_taken = max(most_taken, budget.taken)
            return taken

        def give_back(self, size: int) -> None:
            budget.give_back(size)

    async def main() -> Result | None:
        source = PartedSource(origin, transfers, budget=Watched(budget.total), memory=NO_RETURN)
        try:
            outcome = await source.open("key", OpenRequest(range=spec))
        except SourceError:
            return None
        if not isinstance(outcome, Found):
            return None
        version = origin.content or b""
        if outcome.span is not None:
            version = version[outcome.span.start : outcome.span.stop]
        content, ended_cleanly = await client.read(outcome.body)
        return Result(content, ended_cleanly, version)

    result = run(main())
    assert (origin.open_bodies, budget.taken) == (0, 0)
    assert most_taken <= budget.total
    return result


origins = st.builds(
    FaultyMemory,
    st.integers(0, LARGEST).map(lambda size: VERSIONS[0][:size]),
    st.lists(events, max_size=12),
    etag=st.sampled_from(["v1", None]),
    weak=st.booleans(),
    ranges=st.sampled_from([True, True, True, False]),
    sized=st.sampled_from([True, True, True, False]),
    chunk=st.sampled_from([1000, 10_000, PART, 3 * PART]),
    seconds=st.sampled_from([0.0, 0.01, 0.1]),
    latency=st.sampled_from([0.0, 0.03]),
)
specs = st.one_of(
    st.none(),
    st.integers(0, LARGEST).map(FromTo),
    st.tuples(st.integers(0, LARGEST), st.integers(0, LARGEST)).map(
        lambda ends: FromTo(min(ends), max(ends))
    ),
)
budgets = st.sampled_from([0, PART, 5 * PART, 1 << 30]).map(Budget)


@settings(max_examples=400, deadline=None)
@given(origins, options, st.builds(Client, pauses, st.one_of(st.none(), st.integers(0, 20))), specs, budgets)
def test_client_gets_a_prefix_of_one_version_and_the_whole_if_it_ended_cleanly(
    origin: FaultyMemory, transfers: TransferOptions, client: Client, spec: RangeSpec | None, budget: Budget
) -> None:
    result = result_of(origin, transfers, client, spec, budget)
    if result is None:
        return
    if origin.is_plain or not result.version:
        # The source's own body, as it is: what it comes to is its and the pump's to judge.
        return
    assert result.version.startswith(result.content)
    if result.ended_cleanly:
        assert result.content == result.version


@settings(max_examples=200, deadline=None)
@given(
    st.lists(harmless, max_size=8), options, st.builds(Client, pauses), budgets, st.sampled_from([0.0, 0.01])
)
def test_what_can_pass_does_not_reach_the_client(
    schedule: list[Event], transfers: TransferOptions, client: Client, budget: Budget, seconds: float
) -> None:
    """Once the first byte is there: before it, the client is told soon."""
    first = [
        Break(max(event.after, 1), event.error) if isinstance(event, Break) else event for event in schedule
    ]
    origin = FaultyMemory(VERSIONS[0], [FINE, *first], seconds=seconds)
    transfers = TransferOptions(
        part_size=PART, read_ahead=transfers.read_ahead, park_after=transfers.park_after, give_up_after=600.0
    )
    result = result_of(origin, transfers, client, None, budget)
    assert result is not None
    assert (result.content == VERSIONS[0], result.ended_cleanly) == (True, True)
