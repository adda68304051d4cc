"""What is remembered for a while: how long, and how much of it."""

from sluicegate.access.remembered import Remembered
from tests.access.clock import Clock


def test_value_is_there_until_its_time_is_over() -> None:
    clock = Clock()
    remembered = Remembered[str, int](10, 60.0, clock)
    remembered.put("a", 1)
    clock.now += 59.9
    assert remembered.get("a") == 1
    clock.now += 0.1
    assert remembered.get("a") is None
    assert len(remembered) == 0


def test_being_asked_for_does_not_make_it_last_longer() -> None:
    clock = Clock()
    remembered = Remembered[str, int](10, 60.0, clock)
    remembered.put("a", 1)
    for _ in range(6):
        clock.now += 10
        last = remembered.get("a")
    assert last is None


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    remembered = Remembered[str, int](2, 60.0, Clock())
    remembered.put("a", 1)
    remembered.put("b", 2)
    assert remembered.get("a") == 1
    remembered.put("c", 3)
    assert [remembered.get(key) for key in "abc"] == [1, None, 3]


def test_there_are_never_more_than_the_capacity() -> None:
    remembered = Remembered[int, int](100, 60.0, Clock())
    for number in range(1000):
        remembered.put(number, number)
    assert (len(remembered), remembered.get(899), remembered.get(900)) == (100, None, 900)


def test_value_that_is_put_again_is_the_new_one() -> None:
    clock = Clock()
    remembered = Remembered[str, int](2, 60.0, clock)
    remembered.put("a", 1)
    clock.now += 50
    remembered.put("a", 2)
    clock.now += 50
    assert remembered.get("a") == 2
