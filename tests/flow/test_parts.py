"""Bodies in parts, in virtual time: what is asked of the origin, what the client gets, what is held."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    Denied,
    OriginTimeout,
    SourceError,
    Throttled,
    Unavailable,
    VersionChanged,
)
from sluicegate.flow.budget import Budget
from sluicegate.flow.options import MIB, TransferOptions
from sluicegate.flow.parted import PartedSource
from sluicegate.http.ranges import FromTo, Suffix
from sluicegate.sources.base import Body, Found, OpenRequest
from sluicegate.sources.tally import Tally

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
SIZE = 10 * PART
CONTENT = content_of(SIZE)
OTHER = content_of(SIZE, seed=1)
ALONE = TransferOptions(part_size=PART, read_ahead=0)
AHEAD = TransferOptions(part_size=PART, read_ahead=4 * PART)


@dataclass
class Got:
    """What a client got: `error` is how it ended, `None` if cleanly."""

    content: bytes
    error: SourceError | None
    tally: Tally
    seconds: float


Pause = Callable[[int], Awaitable[None]]


async def drain(body: Body, pause: Pause | None = None) -> tuple[bytes, SourceError | None]:
    """Read to the end; `pause` is awaited before each read, with the count of bytes so far."""
    content = bytearray()
    try:
        while True:
            if pause is not None:
                await pause(len(content))
            if not (chunk := await body.read()):
                return bytes(content), None
            content += chunk
    except SourceError as error:
        return bytes(content), error
    finally:
        await body.aclose()


def got(
    origin: FaultyMemory,
    transfers: TransferOptions = ALONE,
    request: OpenRequest | None = None,
    *,
    pause: Pause | None = None,
    budget: Budget | None = None,
) -> Got:
    """Open and read to the end, in virtual time. Nothing may be held afterwards."""
    account = budget or Budget(1 << 40)
    asked = request or OpenRequest()

    async def main() -> Got:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await PartedSource(origin, transfers, budget=account, memory=NO_RETURN).open("key", asked)
        assert isinstance(found, Found)
        content, error = await drain(found.body, pause)
        return Got(content, error, asked.tally, loop.time() - began)

    result = run(main())
    assert (origin.open_bodies, account.taken) == (0, 0)
    return result


def test_object_that_nothing_happens_to_costs_one_request() -> None:
    origin = FaultyMemory(CONTENT)
    done = got(origin)
    assert (done.content, done.error, origin.asked) == (CONTENT, None, [""])
    assert done.tally == Tally(requests=1, parts=1, origin_bytes=SIZE)


def test_one_byte_costs_a_request_for_one_byte() -> None:
    origin = FaultyMemory(CONTENT)
    done = got(origin, AHEAD, OpenRequest(range=FromTo(7, 7)))
    assert (done.content, origin.asked) == (CONTENT[7:8], ["7-7"])


RESUMED: list[Any] = [
    pytest.param([Break(100_000)], ["", "100000-"], id="reset"),
    pytest.param([Break(100_000, error=None)], ["", "100000-"], id="clean-early-end"),
    pytest.param([Hang(100_000)], ["", "100000-"], id="no-progress"),
    pytest.param([Break(0)], ["", f"0-{SIZE - 1}"], id="before-the-first-byte"),
    pytest.param([Break(SIZE - 1)], ["", f"{SIZE - 1}-"], id="before-the-last-byte"),
    pytest.param([Break(100_000), Break(50_000)], ["", "100000-", "150000-"], id="twice"),
    pytest.param(
        [Break(100_000), Refuse(Unavailable("x")), Refuse(Throttled("x", 3.0))],
        ["", "100000-", "100000-", "100000-"],
        id="and-the-origin-is-away",
    ),
    pytest.param([Refuse(Unavailable("x")), Refuse(Unavailable("x"))], ["", "", ""], id="before-an-answer"),
]


@pytest.mark.parametrize(("events", "asked"), RESUMED)
@pytest.mark.parametrize("transfers", [ALONE, AHEAD], ids=["alone", "ahead"])
def test_body_goes_on_from_the_byte_where_it_broke(
    events: list[Event], asked: list[str], transfers: TransferOptions
) -> None:
    origin = FaultyMemory(CONTENT, events)
    done = got(origin, transfers)
    assert (done.content, done.error) == (CONTENT, None)
    # While it waits, a transfer may begin to fetch ahead; that is another matter.
    first = origin.asked[: len(asked)]
    assert [range_[: len(wanted)] for range_, wanted in zip(first, asked, strict=True)] == asked
    assert transfers is AHEAD or len(origin.asked) == len(asked)


def test_resumes_and_retries_are_counted() -> None:
    events = [Refuse(Unavailable("x")), Break(100_000), Refuse(Throttled("x", 3.0)), FINE]
    done = got(FaultyMemory(CONTENT, events))
    assert [name for _, name in done.tally.events] == ["retry", "resume", "retry"]
    counted = replace(done.tally, events=())
    assert counted == Tally(requests=4, parts=2, resumes=1, retries=2, origin_bytes=SIZE)
    assert done.seconds >= 3.0


def test_resume_is_pinned_to_the_version() -> None:
    origin = FaultyMemory(CONTENT, [Break(5)])
    got(origin)
    assert str(origin.requests[1].conditions.if_match) == '"v1"'


def test_resume_is_pinned_by_date_where_there_is_no_strong_tag() -> None:
    origin = FaultyMemory(CONTENT, [Break(5)], weak=True)
    assert got(origin).content == CONTENT
    conditions = origin.requests[1].conditions
    assert (conditions.if_match, conditions.if_unmodified_since is not None) == (None, True)


@pytest.mark.parametrize(
    ("events", "error"),
    [
        pytest.param([Break(100_000), Replace(OTHER)], VersionChanged, id="replaced"),
        pytest.param([Break(100_000), Replace(OTHER, "v1")], None, id="replaced-under-the-same-tag"),
        pytest.param([Break(100_000), Replace(OTHER + b"x", "v1")], VersionChanged, id="another-size"),
        pytest.param([Break(100_000), Replace(CONTENT[:9], "v1")], VersionChanged, id="shorter"),
        pytest.param([Break(100_000), Replace(CONTENT, None)], VersionChanged, id="tag-is-gone"),
        pytest.param([Break(100_000), Gone()], VersionChanged, id="gone"),
        pytest.param([Break(100_000), Shift()], BadAnswer, id="another-span"),
        pytest.param([Break(100_000), Everything()], BadAnswer, id="range-is-ignored"),
        pytest.param([Break(100_000), Refuse(Denied("x"))], Denied, id="denied"),
        pytest.param([Break(100_000), Refuse(BadAnswer("x"))], BadAnswer, id="garbage"),
        pytest.param([Break(100_000), Lengthen()], BadAnswer, id="longer-than-promised"),
    ],
)
def test_what_cannot_be_resumed_breaks_at_that_byte(
    events: list[Event], error: type[SourceError] | None
) -> None:
    origin = FaultyMemory(CONTENT, events)
    done = got(origin)
    if error is None:
        # Nobody can tell: an origin that gives two contents the same strong tag lies.
        assert (done.content, done.error) == (CONTENT[:100_000] + OTHER[100_000:], None)
    else:
        assert type(done.error) is error
        assert CONTENT.startswith(done.content)
        assert len(done.content) >= 100_000 - 10_000


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param(FaultyMemory(CONTENT, [Break(100_000)], etag=None, modified=None), id="no-validator"),
        pytest.param(FaultyMemory(CONTENT, [Break(100_000)], weak=True, modified=None), id="weak-tag-alone"),
        pytest.param(FaultyMemory(CONTENT, [Break(100_000)], ranges=False), id="no-ranges"),
        pytest.param(FaultyMemory(CONTENT, [Break(100_000)], sized=False), id="unknown-size"),
    ],
)
def test_body_that_cannot_be_asked_for_again_breaks_where_it_breaks(origin: FaultyMemory) -> None:
    done = got(origin, AHEAD)
    assert (done.content, type(done.error), origin.asked) == (CONTENT[:100_000], BrokenBody, [""])


def test_body_that_breaks_for_ever_without_progress_is_given_up() -> None:
    origin = FaultyMemory(CONTENT, [Break(100_000), *[Refuse(Unavailable("x"))] * 1000])
    done = got(origin, TransferOptions(part_size=PART, give_up_after=30.0))
    assert (done.content, type(done.error)) == (CONTENT[:100_000], Unavailable)
    assert 20.0 < done.seconds < 35.0


def test_breaks_with_progress_are_no_reason_to_give_up() -> None:
    """A byte a break, an hour of breaks: longer by far than the time without progress."""
    content = content_of(300)
    origin = FaultyMemory(content, [Break(1)] * 299, latency=12.0)
    done = got(origin, TransferOptions(part_size=PART, give_up_after=30.0))
    assert (done.content, done.error) == (content, None)
    assert done.seconds > 3000


@pytest.mark.parametrize(
    ("events", "requests", "error"),
    [
        pytest.param([Break(0)] * 2, 4, None, id="twice-and-in-two-pieces-then"),
        pytest.param([Break(0)] * 3, 3, BrokenBody, id="three-times"),
        pytest.param([Hang(0)], 1, OriginTimeout, id="for-too-long"),
        pytest.param([Break(0), Refuse(Throttled("x", 30.0))], 2, Throttled, id="throttled-for-long"),
    ],
)
def test_client_without_a_byte_is_told_soon(
    events: list[Event], requests: int, error: type[SourceError] | None
) -> None:
    """It can still get a status, which is worth more than patience."""
    origin = FaultyMemory(CONTENT, events)
    done = got(origin)
    assert (len(origin.requests), type(done.error) if done.error else None) == (requests, error)
    assert done.seconds < 61


def test_longer_wait_than_may_pass_without_progress_is_not_begun() -> None:
    origin = FaultyMemory(CONTENT, [Break(100_000), Refuse(Throttled("x", 3600.0))])
    done = got(origin)
    assert type(done.error) is Throttled
    assert done.seconds < 10


def test_less_is_asked_for_where_more_never_comes() -> None:
    """An origin each of whose connections breaks before the client library hands on a chunk."""

    class Breaking(FaultyMemory):
        async def open(self, key: str, request: OpenRequest) -> Any:
            is_long = request.range is None or request.range.length > 300_000  # type: ignore[union-attr]
            self.events.append(Break(0) if is_long else FINE)
            return await super().open(key, request)

    def length_of(spec: FromTo) -> int:
        return (1 << 62 if spec.last is None else spec.last + 1) - spec.first

    FromTo.length = property(length_of)  # type: ignore[attr-defined]
    try:
        content = content_of(3 * MIB)
        done = got(Breaking(content), TransferOptions(part_size=8 * MIB))
    finally:
        del FromTo.length  # type: ignore[attr-defined]
    assert (done.content, done.error) == (content, None)


# Read-ahead.


def slow_origin(size: int = 40 * PART, events: list[Event] | None = None) -> FaultyMemory:
    """An origin that gives 100 kB/s over each connection, in chunks of 10 kB."""
    return FaultyMemory(content_of(size), events or [], seconds=0.1, latency=0.03)


def test_parts_are_fetched_at_the_same_time_where_the_client_waits() -> None:
    origin, alone = slow_origin(), slow_origin()
    done, slow = got(origin, AHEAD), got(alone, ALONE)
    assert done.content == slow.content == origin.content
    assert origin.most_open == 4
    assert slow.seconds / done.seconds > 3
    assert len(alone.requests) == 1


def test_parts_begin_at_multiples_of_the_part_size() -> None:
    origin = slow_origin()
    got(origin, AHEAD)
    starts = [request.range.first for request in origin.requests[1:]]  # type: ignore[union-attr]
    assert all(start % PART == 0 for start in starts)
    assert sorted(set(starts)) == starts


def test_nothing_is_fetched_ahead_for_a_client_that_is_slower() -> None:
    origin = FaultyMemory(content_of(40 * PART), seconds=0.001)

    async def pause(_: int) -> None:
        await asyncio.sleep(0.5)

    done = got(origin, AHEAD, pause=pause)
    assert (done.content, len(origin.requests)) == (origin.content, 1)


def test_budget_bounds_what_is_held_ahead() -> None:
    origin = slow_origin()
    budget = Budget(PART)
    done = got(origin, AHEAD, budget=budget)
    assert done.content == origin.content
    assert origin.most_open == 2


def test_budget_that_is_used_up_leaves_one_connection() -> None:
    origin = slow_origin()
    done = got(origin, AHEAD, budget=Budget(0))
    assert (done.content, len(origin.requests)) == (origin.content, 1)


def test_range_is_fetched_ahead_up_to_its_end_and_no_further() -> None:
    origin = slow_origin()
    span = slice(PART // 2, 30 * PART + 17)
    done = got(origin, AHEAD, OpenRequest(range=FromTo(span.start, span.stop - 1)))
    assert done.content == (origin.content or b"")[span]
    assert max(request.range.last for request in origin.requests) == span.stop - 1  # type: ignore


def test_suffix_is_fetched_by_positions() -> None:
    origin = slow_origin()
    done = got(origin, AHEAD, OpenRequest(range=Suffix(20 * PART)))
    assert done.content == (origin.content or b"")[-20 * PART :]
    assert origin.most_open == 4


def test_part_that_breaks_is_resumed_alone() -> None:
    origin = slow_origin(
        events=[FINE, Break(20_000), FINE, Break(30_000), Hang(10_000), Refuse(Unavailable("x"))]
    )
    done = got(origin, AHEAD)
    assert (done.content, done.error) == (origin.content, None)
    assert (done.tally.resumes, done.tally.retries) == (3, 1)


def test_bytes_before_a_part_that_failed_are_delivered_in_order() -> None:
    origin = slow_origin(events=[FINE, FINE, FINE, Replace(content_of(40 * PART, seed=1))])
    content = origin.content or b""
    done = got(origin, AHEAD)
    assert type(done.error) is VersionChanged
    assert content.startswith(done.content)
    assert len(done.content) >= PART


@pytest.mark.parametrize(
    ("event", "more"),
    [
        pytest.param(Everything(), 3, id="ranges-are-ignored"),
        pytest.param(Shift(), 3, id="another-span"),
        pytest.param(Refuse(Denied("x")), 3, id="denied"),
        pytest.param(Refuse(Throttled("x", 60.0)), 12, id="throttled"),
        pytest.param(Refuse(OriginTimeout("x"), 600.0), 12, id="never-answered"),
    ],
)
def test_connection_that_works_goes_on_where_another_one_cannot_be_had(event: Event, more: int) -> None:
    origin = slow_origin(events=[FINE, *[event] * 100])
    done = got(origin, AHEAD)
    assert (done.content, done.error) == (origin.content, None)
    assert len(origin.requests) <= 1 + more
    assert done.seconds < 1.3 * got(slow_origin(), ALONE).seconds


def test_version_that_is_being_read_is_read_to_its_end_though_another_one_is_there() -> None:
    origin = slow_origin(events=[FINE, Replace(OTHER)])
    content = origin.content
    done = got(origin, AHEAD)
    assert (done.content, done.error) == (content, None)


def test_objects_of_another_version_ahead_are_noticed_also_without_conditions() -> None:
    """An origin that ignores If-Match: what it answers is held against the version all the same."""

    class Heedless(FaultyMemory):
        async def open(self, key: str, request: OpenRequest) -> Any:
            return await super().open(key, OpenRequest(range=request.range))

    origin = Heedless(CONTENT, [Break(5), Replace(OTHER)])
    assert type(got(origin).error) is VersionChanged


# Parking.


def stalling_at(position: int, seconds: float) -> Pause:
    """A client that takes nothing for so long once it has got so much."""
    stalled = False

    async def pause(count: int) -> None:
        nonlocal stalled
        if count >= position and not stalled:
            stalled = True
            await asyncio.sleep(seconds)

    return pause


def test_stalled_client_holds_no_connection_and_goes_on_where_it_was() -> None:
    origin = FaultyMemory(CONTENT)
    seen: list[int] = []

    async def pause(count: int) -> None:
        if count >= 100_000 and not seen:
            await asyncio.sleep(1.9)
            seen.append(origin.open_bodies)
            await asyncio.sleep(0.2)
            seen.append(origin.open_bodies)
            await asyncio.sleep(3600)
            seen.append(origin.open_bodies)

    done = got(origin, pause=pause)
    assert (done.content, seen, origin.asked) == (CONTENT, [1, 0, 0], ["", f"100000-{SIZE - 1}"])
    assert (done.tally.parkings, done.tally.resumes) == (1, 0)
    assert done.tally.parked_seconds == pytest.approx(3600, abs=5)


def test_stalled_client_holds_no_part() -> None:
    origin, budget = slow_origin(), Budget(1 << 40)
    held: list[tuple[int, int]] = []

    async def pause(count: int) -> None:
        if count and origin.open_bodies > 1 and not held:
            held.append((origin.open_bodies, budget.taken))
            await asyncio.sleep(2.1)
            held.append((origin.open_bodies, budget.taken))

    done = got(origin, AHEAD, pause=pause, budget=budget)
    assert done.content == origin.content
    assert held[0][0] > 1
    assert held[1] == (0, 0)


def test_client_that_takes_something_now_and_then_is_not_parked() -> None:
    origin = FaultyMemory(CONTENT)

    async def pause(_: int) -> None:
        await asyncio.sleep(1.5)

    done = got(origin, pause=pause)
    assert (done.content, len(origin.requests), done.tally.parkings) == (CONTENT, 1, 0)


def test_transfer_that_waits_for_the_origin_is_not_parked() -> None:
    origin = FaultyMemory(CONTENT, seconds=5.0)
    done = got(origin)
    assert (done.content, done.tally.parkings) == (CONTENT, 0)


def test_each_stall_is_parked() -> None:
    origin = FaultyMemory(CONTENT)
    nexts = iter([100_000, 200_000, 300_000, SIZE])
    due = next(nexts)

    async def pause(count: int) -> None:
        nonlocal due
        if count >= due:
            due = next(nexts, SIZE + 1)
            await asyncio.sleep(10)

    done = got(origin, pause=pause)
    assert (done.content, done.tally.parkings) == (CONTENT, 4)


def test_object_that_changed_while_the_client_was_parked_is_not_joined() -> None:
    origin = FaultyMemory(CONTENT, [FINE, Replace(OTHER)])
    done = got(origin, pause=stalling_at(100_000, 10))
    assert (done.content, type(done.error)) == (CONTENT[:100_000], VersionChanged)


def test_time_that_the_client_was_away_is_not_time_without_progress() -> None:
    origin = FaultyMemory(CONTENT, [FINE, Refuse(Unavailable("x")), Refuse(Unavailable("x"))])
    done = got(origin, TransferOptions(part_size=PART, give_up_after=5.0), pause=stalling_at(100_000, 3600))
    assert (done.content, done.error) == (CONTENT, None)


def test_parking_can_be_switched_off() -> None:
    origin = FaultyMemory(CONTENT)
    done = got(origin, TransferOptions(part_size=PART, park_after=None), pause=stalling_at(100_000, 3600))
    assert (done.content, len(origin.requests), done.tally.parkings) == (CONTENT, 1, 0)


def test_last_few_bytes_stay_where_they_are() -> None:
    """Nothing is asked for again for what is less than a stalled client holds anyway."""
    origin = FaultyMemory(CONTENT[:70_000], chunk=70_000)
    done = got(origin, pause=stalling_at(65_536, 10))
    assert (done.content, len(origin.requests)) == (CONTENT[:70_000], 1)


# Closing.


@pytest.mark.parametrize("transfers", [ALONE, AHEAD], ids=["alone", "ahead"])
@pytest.mark.parametrize("events", [[], [Break(30_000)], [Break(0), Refuse(Throttled("x", 20.0))]])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.5, 1.0, 1.2, 3.0])
@pytest.mark.parametrize("takes", [True, False], ids=["reading", "stalled"])
def test_body_that_is_left_in_any_state_holds_nothing(
    transfers: TransferOptions, events: list[Event], after: float, takes: bool
) -> None:
    origin, budget = slow_origin(events=list(events)), Budget(1 << 40)

    async def main() -> None:
        found = await PartedSource(origin, transfers, budget=budget, memory=NO_RETURN).open(
            "key", OpenRequest()
        )
        assert isinstance(found, Found)

        async def read() -> None:
            while True:
                assert await found.body.read()
                if not takes:
                    await asyncio.Event().wait()

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(after)
        reading.cancel()
        await asyncio.wait((reading,))
        await found.body.aclose()
        assert (origin.open_bodies, budget.taken) == (0, 0)
        await found.body.aclose()
        assert await found.body.read() == b""

    run(main())
