"""What a record tells of the way: content from the origin, resumes and parkings, and when they were.

In virtual time, so that a client may stall for an hour.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sluicegate import ObjectResponse, OpenOutcome, OpenRequest, Outcome, PartedSource, TransferRecord
from sluicegate.errors import Unavailable
from sluicegate.flow.options import TransferOptions
from tests.flow.faulty import Break, FaultyMemory, Refuse, content_of
from tests.flow.virtual_time import NO_RETURN, run

from .fakes import CHUNK, Exchange, ScriptedSource

SIZE = 640 * 1024
CONTENT = content_of(SIZE)
STALL_SECONDS = 3600.0


@dataclass
class StallingExchange(Exchange):
    """A client that takes nothing for an hour once it has had `stall_at` bytes, and may leave then."""

    stall_at: int = SIZE
    leaves: bool = False

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.stall_at <= len(self.content) < SIZE:
            self.stall_at = SIZE
            await asyncio.sleep(STALL_SECONDS)
            if self.leaves:
                raise OSError("the client is gone")


def record_of(
    exchange: Callable[[], Exchange],
    origin: FaultyMemory,
    note_parked: Callable[[int], None] | None = None,
) -> TransferRecord:
    records: list[TransferRecord] = []

    async def served() -> None:
        source = PartedSource(origin, TransferOptions(read_ahead=0, park_after=30.0), memory=NO_RETURN)
        response = ObjectResponse(source, "key", observe=records.append, note_parked=note_parked)
        with contextlib.suppress(OSError):
            await exchange().call(response)

    run(served())
    (record,) = records
    return record


def names(record: TransferRecord) -> list[str]:
    return [event.name for event in record.events]


def test_plain_transfer_has_no_events_and_its_content_from_the_origin() -> None:
    record = record_of(Exchange, FaultyMemory(CONTENT))
    assert (record.bytes_sent, record.origin_bytes, record.events) == (SIZE, SIZE, ())


def test_resumes_and_retries_are_events_in_their_order() -> None:
    origin = FaultyMemory(CONTENT, [Break(100_000), Refuse(Unavailable("x")), Break(50_000)])
    record = record_of(Exchange, origin)
    assert names(record) == ["resume", "retry", "resume"]
    assert (record.resumes, record.retries, record.bytes_sent) == (2, 1, SIZE)
    seconds = [event.seconds for event in record.events]
    assert 0 <= seconds[0] < seconds[1] < seconds[2] <= record.duration_seconds


def test_stall_is_a_parking_that_ends() -> None:
    changes: list[int] = []
    record = record_of(lambda: StallingExchange(stall_at=100_000), FaultyMemory(CONTENT), changes.append)
    park, unpark = record.events
    assert (park.name, unpark.name, changes) == ("park", "unpark", [1, -1])
    assert park.seconds == pytest.approx(30, abs=5)
    assert unpark.seconds == pytest.approx(STALL_SECONDS, abs=5)


def test_client_that_leaves_while_it_is_parked_is_parked_no_more() -> None:
    changes: list[int] = []
    gone = lambda: StallingExchange(stall_at=100_000, leaves=True)  # noqa: E731 - one line is enough
    record = record_of(gone, FaultyMemory(CONTENT), changes.append)
    assert (record.outcome, names(record), changes) == (Outcome.CLIENT_GONE, ["park", "unpark"], [1, -1])
    assert record.parked_seconds == pytest.approx(STALL_SECONDS - 30, abs=5)


def test_count_that_fails_harms_no_transfer(caplog: pytest.LogCaptureFixture) -> None:
    def fail(change: int) -> None:
        raise RuntimeError("a bug")

    record = record_of(lambda: StallingExchange(stall_at=100_000), FaultyMemory(CONTENT), fail)
    assert (record.outcome, record.bytes_sent) == (Outcome.COMPLETE, SIZE)
    assert "the count of parked transfers failed" in caplog.text


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param(FaultyMemory(CONTENT, etag=None, modified=None), id="not-pinnable"),
        pytest.param(FaultyMemory(CONTENT[:1000]), id="small"),
        pytest.param(FaultyMemory(CONTENT, sized=False), id="unknown-size"),
    ],
)
def test_content_from_the_origin_is_counted_in_every_kind_of_body(origin: FaultyMemory) -> None:
    record = record_of(Exchange, origin)
    assert record.origin_bytes == record.bytes_sent == len(origin.content or b"")


# Server-Timing.


def timing(exchange: Exchange) -> float:
    """Milliseconds that an answer names for the origin."""
    name, _, duration = exchange.headers["server-timing"].partition(";dur=")
    assert name == "origin"
    return float(duration)


class SlowSource(ScriptedSource):
    """Takes 250 ms to answer."""

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        await asyncio.sleep(0.25)
        return await super().open(key, request)


@pytest.mark.parametrize(
    ("exchange", "failure", "status"),
    [
        pytest.param(Exchange, None, 200, id="whole"),
        pytest.param(lambda: Exchange(method="HEAD"), None, 200, id="head"),
        pytest.param(lambda: Exchange(fields=(("if-none-match", '"v1"'),)), None, 304, id="not-modified"),
        pytest.param(lambda: Exchange(fields=(("if-match", '"v2"'),)), None, 412, id="failed"),
        pytest.param(Exchange, Unavailable("refused"), 502, id="unavailable"),
    ],
)
def test_answers_say_how_long_the_origin_took(
    exchange: Callable[[], Exchange], failure: Exception | None, status: int
) -> None:
    async def served() -> Exchange:
        source = SlowSource((CHUNK,), len(CHUNK), failure=failure)
        return await exchange().call(ObjectResponse(source, "key", server_timing=True))

    answered = run(served())
    assert answered.status == status
    assert timing(answered) == pytest.approx(250, abs=1)


@pytest.mark.parametrize("method", ["OPTIONS", "PUT"])
async def test_answer_without_an_origin_has_no_time_of_it(method: str) -> None:
    source = ScriptedSource((CHUNK,), len(CHUNK))
    exchange = await Exchange(method=method).call(ObjectResponse(source, "key", server_timing=True))
    assert "server-timing" not in exchange.headers


async def test_time_of_the_origin_is_told_only_if_it_is_switched_on() -> None:
    exchange = await Exchange().call(ObjectResponse(ScriptedSource((CHUNK,), len(CHUNK)), "key"))
    assert "server-timing" not in exchange.headers
