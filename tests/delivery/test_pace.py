"""When a client is too slow: a table of what it took and when."""

import pytest

from sluicegate.delivery.pace import MIN_PIECE, DrainLimit, Pace, drain_limit
from sluicegate.sources.options import BadOptions

LIMIT = DrainLimit(rate=1000, seconds=10.0)
Piece = tuple[float, int, float | None]
"""Offered when, how many bytes, taken when (`None` for not yet)."""


def judged(pieces: list[Piece], now: float) -> float | None:
    pace = Pace(LIMIT)
    for offered, size, taken in pieces:
        pace.offer(size, offered)
        if taken is not None:
            pace.take(taken)
    return pace.seconds_left(now)


@pytest.mark.parametrize(
    ("pieces", "now", "expected"),
    [
        pytest.param([], 10.0, 10.0, id="nothing-was-ready"),
        pytest.param([(0.0, 5000, None)], 4.0, 6.0, id="too-early-to-tell"),
        pytest.param([(0.0, 5000, None)], 10.0, None, id="stalled"),
        pytest.param([(0.0, 5000, 4.0), (4.0, 5000, 9.0), (9.0, 5000, None)], 10.0, 10.0, id="fast-enough"),
        pytest.param([(0.0, 3000, 5.0), (5.0, 3000, None)], 10.0, None, id="below-the-rate"),
        pytest.param([(0.0, 5000, 5.0), (5.0, 6000, None)], 10.0, 1.0, id="in-doubt"),
        pytest.param([(0.0, 5000, 5.0), (5.0, 6000, None)], 11.0, None, id="beyond-doubt"),
        # The origin took nine of the ten seconds.
        pytest.param([(0.0, 500, 0.5), (9.5, 500, None)], 10.0, 9.0, id="origin-is-slow"),
        pytest.param([(0.0, 500, 1.0), (100.0, 500, 101.0)], 110.0, 8.0, id="origin-is-very-slow"),
        pytest.param([(0.0, 500, 6.0), (100.0, 500, None)], 104.0, None, id="both-are-slow"),
    ],
)
def test_client_is_judged_by_what_it_took_while_bytes_were_ready(
    pieces: list[Piece], now: float, expected: float | None
) -> None:
    assert judged(pieces, now) == expected


def test_what_was_taken_long_ago_does_not_excuse_a_stall() -> None:
    pace = Pace(LIMIT)
    pace.offer(1_000_000, 0.0)
    pace.take(1.0)
    pace.offer(5000, 1.0)
    assert pace.seconds_left(10.0) == 10.0
    assert pace.seconds_left(20.0) is None


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        pytest.param(LIMIT, 5000, id="half-of-what-must-be-taken"),
        pytest.param(DrainLimit(1, 1.0), MIN_PIECE, id="never-tiny"),
        pytest.param(DrainLimit(1_000_000, 30.0), 15_000_000, id="large-rates-cut-nothing"),
    ],
)
def test_piece_is_small_enough_to_judge(limit: DrainLimit, size: int) -> None:
    assert limit.piece_size == size


def test_rate_of_0_is_no_limit() -> None:
    assert drain_limit(0, 30.0) is None


@pytest.mark.parametrize(
    ("rate", "seconds"), [(-1, 30.0), (1, 0.0), (1, -1.0), (1, 86400.0), (1, float("nan"))]
)
def test_limit_that_cannot_be_is_refused(rate: int, seconds: float) -> None:
    with pytest.raises(BadOptions):
        drain_limit(rate, seconds)


def test_large_piece_is_an_excuse_only_once() -> None:
    pace = Pace(DrainLimit(rate=1000, seconds=1.0))
    pace.offer(4000, 0.0)
    assert [pace.seconds_left(now) for now in (1.0, 3.0, 4.0)] == [3.0, 1.0, None]
