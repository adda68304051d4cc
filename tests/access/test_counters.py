"""Counts in memory: what a window allows, what it says of the next request, and that it is bounded."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from sluicegate.access.counters import Counters, Uncounted
from sluicegate.access.rate_limits import Counts
from sluicegate.http.rate_fields import Policy

Result = TypeVar("Result")
KEY = "LIMITER/a/5/10/second"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def done(counting: Coroutine[Any, Any, Result]) -> Result:
    """The result of what never waits."""
    try:
        counting.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    raise AssertionError("it waits")


def hit(counters: Counters, key: str, limit: int = 5, seconds: int = 10) -> bool:
    return done(counters.acquire_sliding_window_entry(key, limit, seconds))


def outlook(counters: Counters, key: str, limit: int = 5, seconds: int = 10) -> tuple[int, float]:
    counts = Counts(*done(counters.get_sliding_window(key, seconds)))
    return counts.outlook(Policy("default", limit, seconds))


@given(st.integers(1, 20), st.lists(st.floats(0, 12), max_size=60))
@settings(max_examples=200)
def test_outlook_says_how_many_are_allowed_now_and_when_the_next_one_is(
    limit: int, pauses: list[float]
) -> None:
    clock = Clock()
    counters = Counters(clock)
    for pause in pauses:
        clock.now += pause
        hit(counters, "a", limit)
    remaining, _ = outlook(counters, "a", limit)
    assert sum(hit(counters, "a", limit) for _ in range(limit + 1)) == remaining
    left, seconds = outlook(counters, "a", limit)
    assert left == 0
    assert 0 <= seconds <= 20
    if seconds > 1e-3:
        clock.now += seconds - 1e-3
        assert not hit(counters, "a", limit)
        clock.now += 1e-3
    clock.now += 1e-3
    assert hit(counters, "a", limit)


@given(st.integers(1, 20), st.lists(st.floats(0, 5), max_size=200))
def test_no_window_allows_twice_its_limit_and_no_two_more_than_three_times(
    limit: int, pauses: list[float]
) -> None:
    clock = Clock()
    counters = Counters(clock)
    allowed: list[float] = []
    for pause in pauses:
        clock.now += pause
        allowed += [clock.now] * sum(hit(counters, "a", limit) for _ in range(3))
    for first in allowed:
        assert sum(first <= time < first + 10 for time in allowed) <= 2 * limit
        assert sum(first <= time < first + 20 for time in allowed) <= 3 * limit


def test_what_is_used_up_comes_back_little_by_little() -> None:
    clock = Clock()
    counters = Counters(clock)
    assert [hit(counters, "a") for _ in range(6)] == [True] * 5 + [False]
    allowed = []
    for second in range(1, 21):
        clock.now = 1000.0 + second + 0.01
        allowed.append(hit(counters, "a"))
    assert [second for second, was in enumerate(allowed, 1) if was] == [10, 12, 14, 16, 18, 20]


def test_keys_and_windows_are_counted_apart() -> None:
    counters = Counters(Clock())
    assert [hit(counters, "a", 1), hit(counters, "b", 1), hit(counters, "a", 1, 60)] == [True] * 3
    assert [hit(counters, "a", 1), hit(counters, "b", 1), hit(counters, "a", 1, 60)] == [False] * 3
    done(counters.clear_sliding_window("a", 10))
    assert [hit(counters, "a", 1), hit(counters, "b", 1)] == [True, False]


async def test_it_is_a_storage_of_the_library() -> None:
    limiter = SlidingWindowCounterRateLimiter(Counters(Clock()))
    item = parse("2/minute")
    assert [await limiter.hit(item, "a") for _ in range(3)] == [True, True, False]
    assert await limiter.test(item, "b")
    await limiter.clear(item, "a")
    assert await limiter.hit(item, "a")


def test_windows_that_count_no_more_are_forgotten() -> None:
    clock = Clock()
    counters = Counters(clock)
    for number in range(1000):
        clock.now += 1.0
        hit(counters, f"key-{number}")
    # Those of this window and the one before: 20 at most, and the two that a new key would make room of.
    assert done(counters.reset()) in range(10, 23)


def test_memory_is_bounded_and_the_windows_that_began_first_go_first() -> None:
    counters = Counters(Clock(), max_keys=100)
    for number in range(1000):
        hit(counters, f"key-{number}", 1)
    assert not hit(counters, "key-999", 1)
    assert not hit(counters, "key-901", 1)
    assert hit(counters, "key-5", 1)
    assert done(counters.reset()) == 100


def test_counter_begins_anew_when_it_has_ended() -> None:
    clock = Clock()
    counters = Counters(clock)
    assert [done(counters.incr("a", 10)) for _ in range(3)] == [1, 2, 3]
    clock.now += 9.9
    assert done(counters.incr("a", 10)) == 4
    assert done(counters.get_expiry("a")) == 1010.0
    clock.now += 0.2
    assert done(counters.get("a")) == 0
    assert done(counters.incr("a", 10)) == 1


def test_counter_that_was_cleared_lives_as_long_as_its_second_beginning_says() -> None:
    clock = Clock()
    counters = Counters(clock)
    done(counters.incr("a", 10))
    done(counters.clear("a"))
    clock.now += 5
    done(counters.incr("a", 10))
    clock.now += 6
    assert done(counters.get("a")) == 1


def test_use_that_there_is_no_room_for_is_not_counted_and_none_is_forgotten_for_it() -> None:
    clock = Clock()
    counters = Counters(clock, max_keys=2)
    done(counters.incr("a", 10))
    done(counters.incr("b", 20))
    with pytest.raises(Uncounted, match="2 uses are being counted"):
        done(counters.incr("c", 10))
    assert done(counters.incr("a", 10)) == 2
    clock.now += 10
    assert done(counters.incr("c", 10)) == 1
    assert done(counters.check())
