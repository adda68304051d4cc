"""The arithmetic of bandwidths, on a clock that tests turn."""

import pytest

from sluicegate.testing.pacing import BURST_SECONDS, Pace, Pacer


def sent_within(pace: Pace, seconds: float, tick: float | None = None) -> int:
    """What goes out in that time by a sender who looks when it is told to, or each `tick`."""
    now, sent = 100.0, 0
    pacer = Pacer(pace, now)
    while now < 100.0 + seconds:
        due = pacer.due(now)
        pacer.spend(due)
        sent += due
        now += tick or max(pacer.wait(), 1e-6)
    return sent


@pytest.mark.parametrize("rate", [1000.0, 20e6, 40e6, 1e9])
def test_rate_is_kept(rate: float) -> None:
    assert sent_within(Pace.even(rate), 10) == pytest.approx(rate * 10, rel=0.01)


@pytest.mark.parametrize("tick", [0.001, 0.011, 0.05])
def test_rate_is_kept_by_a_sender_who_is_late(tick: float) -> None:
    assert sent_within(Pace.even(20e6), 10, tick) == pytest.approx(200e6, rel=0.02)


def test_trickle_is_in_whole_pieces() -> None:
    pacer = Pacer(Pace(10, piece=3), 0.0)
    assert [pacer.due(0.0), pacer.due(0.29), pacer.due(0.3)] == [0, 0, 3]
    pacer.spend(3)
    assert pacer.wait() == pytest.approx(0.3)


def test_what_was_not_taken_for_long_is_not_made_up_for() -> None:
    pacer = Pacer(Pace.even(1e6), 0.0)
    assert pacer.due(60.0) <= 1e6 * BURST_SECONDS * 1.1
