"""Plots are checked when made, survive JSON, and are always drawn to the same bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.plots import Plot, Series, draw, from_json, number_text, to_json

LINES = (Series("gateway", [(1, 20.5), (1024, 900)]), Series("nginx", [(20, 60)]))
BARS = (Series("gateway", [("juicefs", 1.5), ("nginx", 2)]), Series("naive", [("nginx", 30)]))


def plot(**changes: Any) -> Plot:
    return Plot(
        **{
            "name": "sizes",
            "title": "Rate by size",
            "x_label": "KiB",
            "y_label": "MiB/s",
            "series": LINES,
            **changes,
        }
    )


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(plot(), id="lines"),
        pytest.param(plot(x_log=True, y_log=True), id="logarithmic"),
        pytest.param(plot(series=BARS, kind="bar"), id="bars"),
    ],
)
def test_json_brings_the_same_plot_back(made: Plot) -> None:
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


def test_values_of_x_are_ordered_over_all_series() -> None:
    assert plot().xs == [1, 20, 1024]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"name": "../sizes"}, "a name is of", id="name-with-a-path"),
        pytest.param({"kind": "pie"}, "found the kind 'pie'", id="kind"),
        pytest.param({"series": ()}, "no series", id="no-series"),
        pytest.param({"series": (LINES[0], LINES[0])}, "a name of its own", id="names-twice"),
        pytest.param({"series": (LINES[0], BARS[1])}, "numbers only, or texts only", id="mixed-x"),
        pytest.param({"series": BARS, "x_log": True}, "lines over numbers above 0", id="texts-x-log"),
        pytest.param({"kind": "bar", "x_log": True}, "lines over numbers above 0", id="bars-x-log"),
        pytest.param({"series": (Series("a", [(1, 0)]),), "y_log": True}, "numbers above 0", id="zero-y-log"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot(**changes)


@pytest.mark.parametrize("points", [[], [(1, float("nan"))], [(float("inf"), 1)]], ids=["none", "nan", "inf"])
def test_series_without_finite_points_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="series 'gateway'"):
        Series("gateway", points)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0312, "0.0312"), (2.5, "2.5"), (99.94, "99.9"), (1234.6, "1,235"), (1e6, "1,000,000")],
)
def test_numbers_beside_bars_have_no_exponents(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    "made", [plot(x_log=True, y_log=True), plot(series=BARS, kind="bar")], ids=["lines", "bars"]
)
def test_same_plot_is_drawn_to_the_same_bytes(made: Plot, tmp_path: Path) -> None:
    first, second = (
        {path.name: path.read_bytes() for path in draw(made, tmp_path / name)} for name in ("1", "2")
    )
    assert list(first) == ["sizes.svg", "sizes.png"]
    assert first == second
