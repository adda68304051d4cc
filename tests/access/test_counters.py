"""Counts in memory: what a window allows, what it says of the next request, and that it is bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.access.counters import Counters, Uncounted
from sluicegate.http.rate_fields import Policy


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def hit(counters: Counters, key: str, limit: int = 5, seconds: int = 10) -> bool:
    is_allowed, _ = counters.hit(key, limit, seconds)
    return is_allowed


@given(st.integers(1, 20), st.lists(st.floats(0, 12), max_size=60))
@settings(max_examples=200)
def test_outlook_says_how_many_are_allowed_now_and_when_the_next_one_is(
    limit: int, pauses: list[float]
) -> None:
    clock = Clock()
    counters = Counters(clock)
    policy = Policy("default", limit, 10)
    for pause in [*pauses, 0.0]:
        clock.now += pause
        _, counts = counters.hit("a", limit, 10)
    remaining, _ = counts.outlook(policy)
    assert sum(hit(counters, "a", limit) for _ in range(limit + 1)) == remaining
    _, counts = counters.hit("a", limit, 10)
    left, seconds = counts.outlook(policy)
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


def test_windows_that_count_no_more_are_forgotten() -> None:
    clock = Clock()
    counters = Counters(clock)
    for number in range(1000):
        clock.now += 1.0
        hit(counters, f"key-{number}")
    # Those of this window and the one before: 20 at most, and the two that a new key would make room of.
    assert len(counters) in range(10, 23)


def test_memory_is_bounded_and_the_windows_that_began_first_go_first() -> None:
    counters = Counters(Clock(), max_keys=100)
    for number in range(1000):
        hit(counters, f"key-{number}", 1)
    assert not hit(counters, "key-999", 1)
    assert not hit(counters, "key-901", 1)
    assert hit(counters, "key-5", 1)
    assert len(counters) == 100


def test_uses_begin_anew_when_they_have_ended() -> None:
    clock = Clock()
    counters = Counters(clock)
    assert [counters.use("a", 10) for _ in range(3)] == [1, 2, 3]
    clock.now += 9.9
    assert counters.use("a", 10) == 4
    clock.now += 0.2
    assert counters.use("a", 10) == 1
    assert len(counters) == 1


def test_uses_that_began_again_live_as_long_as_their_second_beginning_says() -> None:
    clock = Clock()
    counters = Counters(clock)
    counters.use("a", 10)
    clock.now += 10
    counters.use("a", 10)
    clock.now += 9
    assert counters.use("a", 10) == 2


def test_use_that_there_is_no_room_for_is_not_counted_and_none_is_forgotten_for_it() -> None:
    clock = Clock()
    counters = Counters(clock, max_keys=2)
    counters.use("a", 10)
    counters.use("b", 20)
    with pytest.raises(Uncounted, match="2 uses are being counted"):
        counters.use("c", 10)
    assert counters.use("a", 10) == 2
    clock.now += 10
    assert counters.use("c", 10) == 1
