"""Results as one aligned table for people and as JSON in bench/results/ for whatever reads them later."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .plots import Plot, to_json

RESULTS = Path(os.environ.get("BENCH_RESULTS", Path(__file__).parent / "results"))
"""Where results are written; `scripts/bench --quick` has another place for its own."""

_PACKAGES = ("sluicegate", "obstore", "aiobotocore", "botocore", "aiohttp", "starlette", "fastapi", "uvicorn")


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the names of the columns, and rows of as many cells; `None` is a cell that does not apply."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {row!r} has {len(row)} cells, the table has {len(self.columns)} columns"
                )


def publish(
    name: str, tables: Sequence[Table], settings: dict[str, str | int | float], plots: Sequence[Plot] = ()
) -> None:
    """Print the tables; write them, `settings`, `plots` and the versions in use to NAME.json in `RESULTS`.

    Nothing is written without a row: what was measured before is worth more.
    """
    if not any(table.rows for table in tables):
        print(f"{name}: nothing was measured, and nothing is written")
        return
    for table in tables:
        print(f"\n{render(table)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(_record(name, tables, settings, plots), indent=2) + "\n")
    print(f"\nwritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def render(table: Table) -> str:
    """Return the table as text: the first column to the left, all others to the right."""
    lines = [list(table.columns), *([cell_text(cell) for cell in row] for row in table.rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(table.columns))]
    rule = "  ".join("-" * width for width in widths)
    head, *body = [_line(line, widths) for line in lines]
    return "\n".join([table.title, "", head, rule, *body])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def cell_text(cell: str | int | float | None) -> str:
    """Return one cell as people read it: two decimals, a dash for nothing."""
    if cell is None:
        return "-"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def _record(
    name: str, tables: Sequence[Table], settings: dict[str, str | int | float], plots: Sequence[Plot]
) -> dict[str, object]:
    return {
        "benchmark": name,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {package: _version(package) for package in _PACKAGES},
        "settings": settings,
        "tables": [
            {"title": table.title, "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows]}
            for table in tables
            if table.rows
        ],
        "plots": [to_json(plot) for plot in plots],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
