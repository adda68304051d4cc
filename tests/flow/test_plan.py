"""Which parts are fetched, and how many at a time: tables and laws, without a byte of input or output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.flow.plan import FAST, HOLD_SECONDS, Period, Trial, Window, part_at, widest
from sluicegate.http.ranges import Span

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("position", "span", "expected"),
    [
        pytest.param(0, Span(0, 100), Span(0, 10), id="first"),
        pytest.param(10, Span(0, 100), Span(10, 20), id="at-a-multiple"),
        pytest.param(13, Span(0, 100), Span(13, 20), id="inside"),
        pytest.param(19, Span(0, 100), Span(19, 20), id="last-byte-before-a-multiple"),
        pytest.param(90, Span(0, 95), Span(90, 95), id="last-and-short"),
        pytest.param(3, Span(3, 7), Span(3, 7), id="shorter-than-a-part"),
        pytest.param(1 << 40, Span(0, 1 << 41), Span(1 << 40, (1 << 40) + 4), id="far-behind"),
    ],
)
def test_part_ends_at_the_next_multiple_or_at_the_end(position: int, span: Span, expected: Span) -> None:
    assert part_at(position, span, 10) == expected


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(1, 100))
def test_parts_follow_each_other_and_make_up_the_span(start: int, length: int, part_size: int) -> None:
    span = Span(start, start + length)
    position = span.start
    while position < span.stop:
        part = part_at(position, span, part_size)
        assert part.start == position
        assert 0 < part.length <= part_size
        assert part.stop == span.stop or part.stop % part_size == 0
        position = part.stop
    assert position == span.stop


@pytest.mark.parametrize(
    ("part_size", "read_ahead", "expected"),
    [
        pytest.param(8 * MIB, 96 * MIB, 12, id="twelve"),
        pytest.param(8 * MIB, 15 * MIB, 1, id="not-two"),
        pytest.param(8 * MIB, 0, 1, id="off"),
    ],
)
def test_as_many_parts_as_may_be_held(part_size: int, read_ahead: int, expected: int) -> None:
    assert widest(part_size, read_ahead) == expected


def period(rate: float, waited: float) -> Period:
    """A period of 0.1 s."""
    return Period(0.1, round(rate * 0.1), waited * 0.1)


SLOW_ORIGIN, SLOW_CLIENT, NEITHER = 1.0, 0.0, 0.3


@pytest.mark.parametrize(
    ("window", "seen", "expected"),
    [
        pytest.param(Window(12), period(1e6, SLOW_ORIGIN), Window(12, 4, Trial(1e6, 1)), id="client-waits"),
        pytest.param(Window(12, 4), period(1e6, SLOW_CLIENT), Window(12, 2), id="origin-waits"),
        pytest.param(Window(12, 1), period(1e6, SLOW_CLIENT), Window(12, 1), id="never-less-than-one"),
        pytest.param(Window(12, 4), period(1e6, NEITHER), Window(12, 4), id="neither-waits"),
        pytest.param(
            Window(12, 4), period(1e6, SLOW_ORIGIN), Window(12, 12, Trial(1e6, 4)), id="up-to-the-limit"
        ),
        pytest.param(Window(12, 12), period(1e6, SLOW_ORIGIN), Window(12, 12), id="not-beyond-the-limit"),
        pytest.param(Window(1), period(1e6, SLOW_ORIGIN), Window(1), id="off"),
        pytest.param(Window(12), period(FAST, SLOW_ORIGIN), Window(12), id="fast-enough-already"),
        pytest.param(
            Window(12, 4, Trial(1e6, 1)),
            period(1, SLOW_ORIGIN),
            Window(12, 4, Trial(1e6, 1, settled=True)),
            id="new-connections-get-a-period-to-begin",
        ),
        pytest.param(
            Window(12, 4, Trial(1e6, 1, settled=True)),
            period(2e6, SLOW_ORIGIN),
            Window(12, 12, Trial(2e6, 4)),
            id="it-helped-so-more",
        ),
        pytest.param(
            Window(12, 4, Trial(1e6, 1, settled=True)),
            period(1.1e6, SLOW_ORIGIN),
            Window(12, 1, hold_until=50.0 + HOLD_SECONDS),
            id="it-did-not-help",
        ),
        pytest.param(
            Window(12, 2, hold_until=51.0),
            period(1e6, SLOW_ORIGIN),
            Window(12, 2, hold_until=51.0),
            id="not-so-soon-again",
        ),
        pytest.param(
            Window(12, 2, hold_until=49.0),
            period(1e6, SLOW_ORIGIN),
            Window(12, 8, Trial(1e6, 2), hold_until=49.0),
            id="later-again",
        ),
    ],
)
def test_window_follows_who_waits_for_whom(window: Window, seen: Period, expected: Window) -> None:
    assert window.after(seen, 50.0) == expected


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 1 << 34), st.floats(0, 1))),
)
def test_width_stays_within_its_limit(limit: int, seen: list[tuple[float, int, float]]) -> None:
    window, now = Window(limit), 0.0
    for seconds, arrived, share in seen:
        now += seconds
        window = window.after(Period(seconds, arrived, seconds * share), now)
        assert 1 <= window.width <= limit


def test_window_comes_to_rest_where_more_connections_bring_nothing() -> None:
    """An origin that gives 10 MB/s over one connection, and 40 MB/s over any number from four."""
    window, now = Window(12), 0.0
    widths = []
    for _ in range(50):
        now += 0.1
        window = window.after(period(10e6 * min(window.width, 4), SLOW_ORIGIN), now)
        widths.append(window.width)
    assert max(widths) == 12
    assert set(widths[10:]) == {4}


@pytest.mark.parametrize(
    ("for_good", "expected"),
    [
        pytest.param(False, Window(12, hold_until=50.0 + HOLD_SECONDS), id="for-now"),
        pytest.param(True, Window(1, hold_until=50.0 + HOLD_SECONDS), id="for-good"),
    ],
)
def test_window_is_one_where_no_other_connection_can_be_had(for_good: bool, expected: Window) -> None:
    assert Window(12, 4, Trial(1e6, 1)).without(50.0, for_good=for_good) == expected
