"""When an origin is asked again: the clock and the dice are inputs."""

import pytest

from sluicegate.errors import BadAnswer, BrokenBody, Denied, SourceError, Throttled, Unavailable
from sluicegate.flow.patience import (
    FIRST_REACH,
    LONGEST_SECONDS,
    SMALLEST_REACH,
    backoff_seconds,
    longer_reach,
    opening_wait_seconds,
    shorter_reach,
    wait_seconds,
)


@pytest.mark.parametrize(
    ("failures", "longest"),
    [
        pytest.param(1, 0.1, id="first"),
        pytest.param(2, 0.2, id="second"),
        pytest.param(5, 1.6, id="fifth"),
        pytest.param(7, LONGEST_SECONDS, id="seventh"),
        pytest.param(10**9, LONGEST_SECONDS, id="any-later"),
    ],
)
def test_jitter_is_full_and_its_bound_doubles(failures: int, longest: float) -> None:
    assert [backoff_seconds(failures, chance) for chance in (0.0, 0.5, 1.0)] == [0.0, longest / 2, longest]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(BrokenBody("x"), 0.1, id="broken"),
        pytest.param(Unavailable("x"), 0.1, id="unavailable"),
        pytest.param(Throttled("x"), 0.1, id="throttled"),
        pytest.param(Throttled("x", 7.0), 7.1, id="throttled-for-so-long"),
        pytest.param(Denied("x"), None, id="denied"),
        pytest.param(BadAnswer("x"), None, id="bad-answer"),
    ],
)
def test_only_what_can_pass_is_waited_for(error: SourceError, expected: float | None) -> None:
    assert wait_seconds(error, 1, 1.0) == expected


@pytest.mark.parametrize(
    ("error", "failures", "elapsed", "expected"),
    [
        pytest.param(Unavailable("x"), 1, 0.0, 0.1, id="again"),
        pytest.param(Unavailable("x"), 2, 0.0, 0.2, id="and-again"),
        pytest.param(Unavailable("x"), 3, 0.0, None, id="three-are-all"),
        pytest.param(Unavailable("x"), 1, 9.95, None, id="too-late"),
        pytest.param(Throttled("x", 1.0), 1, 0.0, 1.1, id="a-short-wish-is-obeyed"),
        pytest.param(Throttled("x", 3.0), 1, 0.0, None, id="a-long-one-is-the-clients"),
        pytest.param(Denied("x"), 1, 0.0, None, id="never"),
    ],
)
def test_client_without_an_answer_does_not_wait_long(
    error: SourceError, failures: int, elapsed: float, expected: float | None
) -> None:
    assert opening_wait_seconds(error, failures, 3, elapsed, 1.0) == expected


def test_reach_shrinks_to_what_can_be_had_and_grows_again() -> None:
    shrinking: list[int | None] = [None]
    for _ in range(5):
        shrinking.append(shorter_reach(shrinking[-1]))
    assert shrinking == [None, FIRST_REACH, FIRST_REACH // 4, SMALLEST_REACH, SMALLEST_REACH, SMALLEST_REACH]
    assert longer_reach(SMALLEST_REACH, 10**9) == 4 * SMALLEST_REACH
    assert longer_reach(SMALLEST_REACH, 4 * SMALLEST_REACH) is None
