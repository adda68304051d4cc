"""How many at once: who is counted, who is turned away, and that nothing stays behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.crowd import Crowd


def test_each_key_has_its_own_places() -> None:
    crowd = Crowd(2)
    assert [crowd.enter(key) for key in ("a", "a", "a", "b")] == [True, True, False, True]
    assert (crowd.inside("a"), crowd.inside("b"), crowd.inside("c"), crowd.total) == (2, 1, 0, 3)


def test_place_that_is_left_is_free() -> None:
    crowd = Crowd(1)
    crowd.enter("a")
    crowd.leave("a")
    assert crowd.enter("a")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_counts_are_those_who_are_inside_and_nobody_else_is_stored(steps: list[tuple[str, bool]]) -> None:
    crowd = Crowd(2)
    inside: list[str] = []
    for key, comes in steps:
        if comes:
            has_room = inside.count(key) < 2
            assert crowd.enter(key) is has_room
            inside += [key] * has_room
        elif key in inside:
            crowd.leave(key)
            inside.remove(key)
        assert {name: crowd.inside(name) for name in "abc"} == {name: inside.count(name) for name in "abc"}
        assert (crowd.total, len(crowd)) == (len(inside), len(set(inside)))


def test_who_never_entered_cannot_leave() -> None:
    crowd = Crowd(1)
    with pytest.raises(LookupError, match="'a' leaves, and never entered"):
        crowd.leave("a")
    assert crowd.total == 0


def test_place_is_given_back_when_the_block_fails() -> None:
    crowd = Crowd(1)

    def fail() -> None:
        with crowd.place("a") as is_inside:
            assert is_inside
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (crowd.total, len(crowd)) == (0, 0)


def test_who_was_turned_away_takes_nobody_elses_place_when_the_block_ends() -> None:
    crowd = Crowd(1)
    with crowd.place("a") as first:
        with crowd.place("a") as second:
            assert (first, second) == (True, False)
        assert crowd.inside("a") == 1


@pytest.mark.parametrize("most", [0, -1])
def test_crowd_without_a_place_is_refused(most: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Crowd(most)
