"""Plots as values: checked when made, kept in a result's JSON, drawn by matplotlib as SVG and PNG.

The same plot is always drawn to the same bytes, so that a page that is written again does not change.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["line", "bar"]
Point = tuple[float | str, float]

INCHES = (8.0, 4.5)
DOTS_PER_INCH = 120
BAR_ROOM = 0.8
"""How much of the room of a category its bars take together."""

MOST_TICKS = 12
"""More values than these on a logarithmic axis would be written over each other."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's, which people who confuse colours can tell apart."""

MARKERS = "osD^vPX*"

_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Series:
    """A name for the legend, and points `(x, y)` in the order in which they are drawn."""

    name: str
    points: Sequence[Point]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple((x, y) for x, y in self.points))
        if not self.points:
            raise ValueError(f"series {self.name!r} has no points; one at least is needed")
        numbers = [value for point in self.points for value in point if not isinstance(value, str)]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"series {self.name!r} has the points {self.points!r}; they must be finite")


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn: `name` is the stem of its files, `x` are numbers in all series, or texts in all.

    A logarithmic axis needs numbers above 0, and bars have none for `x`.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    kind: Kind = "line"
    x_log: bool = False
    y_log: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "series", tuple(self.series))
        for mistake in self._mistakes():
            raise ValueError(f"plot {self.name!r}: {mistake}")

    def _mistakes(self) -> Iterator[str]:
        if not _NAME.fullmatch(self.name):
            yield "a name is of a to z, 0 to 9 and _"
        if self.kind not in get_args(Kind):
            yield f"found the kind {self.kind!r}; expected one of {', '.join(get_args(Kind))}"
        if not self.series:
            yield "no series; one at least is needed"
        names = [one.name for one in self.series]
        if len(set(names)) < len(names):
            yield f"found the series {names!r}; each needs a name of its own"
        if len({isinstance(x, str) for x in self.xs}) > 1:
            yield f"found {self.xs!r} for x; expected numbers only, or texts only"
        if self.x_log and (self.kind == "bar" or not _all_above_zero(self.xs)):
            yield f"found {self.xs!r} for x; a logarithmic axis is for lines over numbers above 0"
        if self.y_log and not _all_above_zero([y for one in self.series for _, y in one.points]):
            yield "found an y of 0 or less; a logarithmic axis is for numbers above 0"

    @property
    def xs(self) -> list[float | str]:
        """Every value for `x`, once: numbers in their order, texts in that of the series."""
        found = dict.fromkeys(x for one in self.series for x, _ in one.points)
        numbers = sorted(x for x in found if not isinstance(x, str))
        return [*numbers, *(x for x in found if isinstance(x, str))]


def _all_above_zero(values: Sequence[float | str]) -> bool:
    return all(not isinstance(value, str) and value > 0 for value in values)


def to_json(plot: Plot) -> dict[str, Any]:
    """Return the plot as what `json.dumps` takes."""
    return asdict(plot)


def from_json(record: Mapping[str, Any]) -> Plot:
    """Return the plot that `to_json` was given; raises `ValueError` for what is none."""
    series = [Series(one["name"], one["points"]) for one in record["series"]]
    return Plot(**{**record, "series": series})


def draw(plot: Plot, folder: Path) -> list[Path]:
    """Write NAME.svg and NAME.png into `folder`, which is made; return their paths."""
    import matplotlib as mpl  # noqa: PLC0415 (takes a second, and only drawing needs it)
    from matplotlib.figure import Figure  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": plot.name, "axes.spines.top": False, "axes.spines.right": False}):
        # A figure of its own, not of pyplot: nothing asks for a screen, and nothing keeps it.
        figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
        _fill(figure.subplots(), plot)
        paths = [folder / f"{plot.name}.svg", folder / f"{plot.name}.png"]
        figure.savefig(paths[0], backend="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(paths[1], backend="agg", metadata={"Software": None})
    return paths


def _fill(axes: Any, plot: Plot) -> None:
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    axes.grid(visible=True, axis="y", color="#dddddd")
    axes.set_axisbelow(True)
    if plot.kind == "bar":
        _draw_bars(axes, plot)
    else:
        _draw_lines(axes, plot)
    if plot.y_log:
        axes.set_yscale("log")
    elif not _goes_below_zero(plot):
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: number_text(value))
    if len(plot.series) > 1:
        axes.legend(frameon=False, fontsize="small")


def number_text(value: float) -> str:
    """Return a number as people read it beside a bar or an axis: three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _goes_below_zero(plot: Plot) -> bool:
    return any(y < 0 for one in plot.series for _, y in one.points)


def _draw_lines(axes: Any, plot: Plot) -> None:
    for number, one in enumerate(plot.series):
        x, y = zip(*one.points, strict=True)
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        axes.plot(x, y, label=one.name, linewidth=1.8, markersize=5, **style)
    if plot.x_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: number_text(value))
        if len(plot.xs) <= MOST_TICKS:
            axes.set_xticks(plot.xs)
            axes.set_xticks([], minor=True)


def _draw_bars(axes: Any, plot: Plot) -> None:
    places = {x: place for place, x in enumerate(plot.xs)}
    width = BAR_ROOM / len(plot.series)
    for number, one in enumerate(plot.series):
        shift = (number - (len(plot.series) - 1) / 2) * width
        at = [places[x] + shift for x, _ in one.points]
        colour = COLOURS[number % len(COLOURS)]
        bars = axes.bar(at, [y for _, y in one.points], width, label=one.name, color=colour)
        axes.bar_label(bars, fmt=number_text, fontsize="x-small", padding=2)
    axes.set_xticks(list(places.values()), [x if isinstance(x, str) else number_text(x) for x in places])
