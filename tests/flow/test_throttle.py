"""Bodies that wait for tokens: never more than the rate, never a byte less, and fair shares."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.flow.throttle import MIN_PIECE, MIN_RATE, Throttle, ThrottledBody, ThrottledSource
from sluicegate.sources.base import Chunk, EmptyBody, Found, OpenRequest
from sluicegate.sources.options import BadOptions
from sluicegate.testing import ScriptedSource, SourceContract, Subject

from .faulty import content_of
from .virtual_time import run

RATE = 100_000
ROUNDING = 1e-3
"""Bytes: what the clock's last digits come to."""

Event = tuple[float, int]


class ChunksBody:
    """The bytes of `content` in chunks of `chunk_size`; each takes `seconds` to come."""

    def __init__(self, content: bytes, chunk_size: int, seconds: float = 0.0) -> None:
        self._left = content
        self._chunk_size = chunk_size
        self._seconds = seconds
        self.is_closed = False

    async def read(self) -> Chunk:
        await asyncio.sleep(self._seconds)
        chunk, self._left = self._left[: self._chunk_size], self._left[self._chunk_size :]
        return chunk

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass(frozen=True)
class Download:
    """A client: what it reads, from when on, and how long it takes for each piece."""

    content: bytes
    chunk_size: int
    begins: float = 0.0
    pause: float = 0.0
    origin_seconds: float = 0.0
    events: list[Event] = field(default_factory=list, compare=False)

    async def run(self, *throttles: Throttle) -> bytes:
        time = asyncio.get_running_loop().time
        await asyncio.sleep(self.begins)
        inner = ChunksBody(self.content, self.chunk_size, self.origin_seconds)
        body = ThrottledBody(inner, throttles)
        came = b""
        while piece := await body.read():
            self.events.append((time(), len(piece)))
            came += piece
            await asyncio.sleep(self.pause)
        await body.aclose()
        return came


downloads = st.builds(
    Download,
    content=st.integers(0, 400_000).map(lambda size: content_of(size, 1)),
    chunk_size=st.sampled_from([1000, 4096, 5000, 65_536, 300_000]),
    begins=st.sampled_from([0.0, 0.3, 2.0]),
    pause=st.sampled_from([0.0, 0.01, 0.7]),
    origin_seconds=st.sampled_from([0.0, 0.02]),
)


def most_above_the_rate(events: list[Event], rate: int) -> float:
    """By how many bytes the events of some window exceed the rate; the bucket is what they may."""
    events = sorted(events)
    above = worst = 0.0
    last = 0.0
    for time, size in events:
        # Of the windows that end here, the one that exceeds most: longer by this step, or begun here.
        above = max(0.0, above - rate * (time - last)) + size
        worst, last = max(worst, above), time
    return worst


@given(
    st.lists(downloads, min_size=1, max_size=4),
    st.integers(MIN_RATE, 400_000),
    st.none() | st.integers(MIN_PIECE, 200_000),
)
@settings(max_examples=60, deadline=None)
def test_no_window_has_more_than_its_rate_and_every_byte_comes(
    clients: list[Download], rate: int, burst: int | None
) -> None:
    throttle = Throttle(rate, burst)

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(client.run(throttle) for client in clients))

    assert run(all_of_them()) == [client.content for client in clients]
    events = [event for client in clients for event in client.events]
    assert most_above_the_rate(events, rate) <= throttle.burst + ROUNDING
    assert max((size for _, size in events), default=0) <= throttle.piece_size
    assert throttle.waiting == 0


@given(st.lists(downloads, min_size=2, max_size=4), st.integers(MIN_RATE, 500_000))
@settings(max_examples=30, deadline=None)
def test_the_last_of_several_throttles_is_obeyed_in_every_window(clients: list[Download], rate: int) -> None:
    own = [Throttle(50_000 + 1000 * number) for number in range(len(clients))]
    shared = Throttle(rate)

    async def all_of_them() -> list[bytes]:
        pairs = zip(clients, own, strict=True)
        return await asyncio.gather(*(client.run(throttle, shared) for client, throttle in pairs))

    assert run(all_of_them()) == [client.content for client in clients]
    events = [event for client in clients for event in client.events]
    assert most_above_the_rate(events, rate) <= shared.burst + ROUNDING
    for client, throttle in zip(clients, own, strict=True):
        assert most_above_the_rate(client.events, throttle.bytes_per_second) <= (
            throttle.burst + min(throttle.piece_size, shared.piece_size) + ROUNDING
        )


@pytest.mark.parametrize("chunk_size", [4096, 16_384, 500_000])
def test_rate_is_used_up_where_there_is_enough_to_send(chunk_size: int) -> None:
    throttle = Throttle(RATE, burst=20_000)
    client = Download(content_of(RATE * 10, 1), chunk_size)

    async def seconds() -> float:
        await client.run(throttle)
        return asyncio.get_running_loop().time()

    assert run(seconds()) == pytest.approx(9.8, abs=0.01)


@pytest.mark.parametrize(("small", "large"), [(4096, 4096), (1000, 500_000), (4096, 9000)])
def test_transfers_of_one_throttle_get_equal_shares(small: int, large: int) -> None:
    throttle = Throttle(RATE)
    one, other = Download(content_of(RATE * 4, 1), small), Download(content_of(RATE * 4, 2), large)

    async def both() -> None:
        await asyncio.gather(one.run(throttle), other.run(throttle))

    run(both())
    for moment in range(1, 8):
        had = [sum(size for time, size in client.events if time <= moment) for client in (one, other)]
        assert abs(had[0] - had[1]) <= 2 * throttle.piece_size
        # Each has had half, also where one of the two asks ten times as often.
        assert min(had) >= RATE * moment / 2 - 2 * throttle.piece_size


def test_transfer_that_is_on_its_way_goes_on_while_others_come_faster_than_they_are_served() -> None:
    throttle = Throttle(RATE)
    old = Download(content_of(RATE * 2, 1), 500_000)
    # Twice what the throttle gives, in transfers of which each is new.
    newcomers = [Download(content_of(4096, 2), 4096, begins=number * 0.03) for number in range(500)]

    async def everybody() -> None:
        await asyncio.gather(old.run(throttle), *(new.run(throttle) for new in newcomers))

    run(everybody())
    # Its share is one of all those that wait, who are more and more.
    for second in range(1, 10):
        assert [size for time, size in old.events if second / 2 <= time <= 2 * second], second


def test_bucket_that_nobody_took_from_holds_its_burst_and_no_more() -> None:
    throttle = Throttle(RATE, burst=30_000)
    late = Download(content_of(RATE, 1), 500_000, begins=3600.0)
    run(late.run(throttle))
    assert sum(size for time, size in late.events if time == 3600.0) == 30_000


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "before-another"])
def test_cancelled_wait_costs_nobody_a_token(alone: bool) -> None:
    throttle = Throttle(RATE, burst=10_000)

    async def seconds() -> float:
        first = Download(content_of(10_000, 1), 10_000)
        await first.run(throttle)
        leaving = asyncio.create_task(Download(content_of(50_000, 1), 50_000).run(throttle))
        await asyncio.sleep(0.01)
        assert throttle.waiting == 1
        last = asyncio.create_task(Download(content_of(50_000, 1), 10_000).run(throttle))
        await asyncio.sleep(0 if alone else 0.02)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await last == content_of(50_000, 1)
        return asyncio.get_running_loop().time()

    # 60,000 bytes in all, of which the bucket held 10,000.
    assert run(seconds()) == pytest.approx(0.5, abs=0.005)
    assert throttle.waiting == 0


def test_cancellation_as_the_tokens_come_gives_them_back() -> None:
    throttle = Throttle(RATE, burst=10_000)

    async def seconds() -> float:
        await Download(content_of(10_000, 1), 10_000).run(throttle)
        leaving = asyncio.create_task(Download(content_of(10_000, 1), 10_000).run(throttle))
        await asyncio.sleep(0.01)
        assert throttle._timer is not None
        # In the same turn of the loop as the tokens, and before the task has its turn.
        asyncio.get_running_loop().call_at(throttle._timer.when() + 1e-10, leaving.cancel)
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await Download(content_of(20_000, 1), 10_000).run(throttle)
        return asyncio.get_running_loop().time()

    assert run(seconds()) == pytest.approx(0.2, abs=0.005)


def test_cancellation_at_one_throttle_gives_back_what_was_taken_of_the_others() -> None:
    own, shared = Throttle(RATE, burst=10_000), Throttle(RATE, burst=10_000)

    async def main() -> None:
        await Download(content_of(10_000, 1), 10_000).run(shared)
        leaving = asyncio.create_task(Download(content_of(10_000, 1), 10_000).run(own, shared))
        await asyncio.sleep(0.01)
        assert (own.waiting, shared.waiting) == (0, 1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        again = Download(content_of(10_000, 1), 10_000)
        await again.run(own)
        assert [time for time, _ in again.events] == [0.01, 0.01]

    run(main())


def test_body_that_is_cut_into_pieces_is_not_held_by_them() -> None:
    body = ThrottledBody(ChunksBody(content_of(9000, 1), 9000), [Throttle(RATE, burst=4096)])

    async def pieces() -> list[Chunk]:
        return [await body.read() for _ in range(3)]

    first, second, last = run(pieces())
    assert (type(first), type(second)) == (bytes, bytes)
    assert [len(piece) for piece in (first, second, last)] == [4096, 4096, 808]
    assert not body._rest


def test_chunk_that_is_small_enough_goes_on_as_it_is() -> None:
    chunk = memoryview(content_of(3000, 1))

    class OneChunk(EmptyBody):
        async def read(self) -> Chunk:
            return chunk

    assert run(ThrottledBody(OneChunk(), [Throttle(RATE)]).read()) is chunk
    assert run(ThrottledBody(OneChunk(), []).read()) is chunk


def test_body_is_closed_when_the_one_inside_is_and_nothing_is_held() -> None:
    inner = ChunksBody(content_of(9000, 1), 9000)
    body = ThrottledBody(inner, [Throttle(RATE, burst=4096)])

    async def main() -> list[bool]:
        seen = [body.is_closed]
        await body.read()
        inner.is_closed = True
        seen.append(body.is_closed)
        await body.aclose()
        return [*seen, body.is_closed]

    assert run(main()) == [False, False, True]


@pytest.mark.parametrize(
    ("rate", "burst", "found"),
    [
        pytest.param(0, None, "1024, got 0", id="no-rate"),
        pytest.param(-1, None, "1024, got -1", id="negative-rate"),
        pytest.param(MIN_RATE - 1, None, "1024, got 1023", id="rate-too-low"),
        pytest.param("1MiB", None, "bytes_per_second is .* got '1MiB'", id="rate-as-text"),
        pytest.param(
            RATE,
            MIN_PIECE - 1,
            "100000 a second is a whole number of bytes, at least 4096, got 4095",
            id="burst-below-a-piece",
        ),
        pytest.param(10_000_000, 99_999, "at least 100000, got 99999", id="burst-below-10-ms"),
    ],
)
def test_throttle_that_cannot_be_is_refused(rate: int, burst: int | None, found: str) -> None:
    with pytest.raises(BadOptions, match=found):
        Throttle(rate, burst)


def test_source_gives_its_rate_to_all_its_bodies_together() -> None:
    content = content_of(50_000, 1)
    source = ThrottledSource(ScriptedSource({"a": content, "b": content}), RATE, burst=10_000)

    async def read(key: str) -> bytes:
        found = await source.open(key, OpenRequest())
        assert isinstance(found, Found)
        came = b""
        while piece := await found.body.read():
            came += piece
        await found.body.aclose()
        return came

    async def seconds() -> float:
        async with source:
            assert await asyncio.gather(read("a"), read("b")) == [content, content]
        return asyncio.get_running_loop().time()

    assert run(seconds()) == pytest.approx(0.9, abs=0.005)


class TestThrottledScripted(SourceContract):
    @pytest_asyncio.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        scripted = ScriptedSource(chunk_size=100_000)
        async with ThrottledSource(scripted, 1_000_000_000) as source:

            async def put(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
                scripted.put(key, content, content_type=content_type)

            yield Subject(source, put)
        assert scripted.open_bodies == 0
