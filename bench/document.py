"""Writes the last results into docs/benchmarks.md, so that no number is typed by hand."""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .report import RESULTS, cell_text

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"

_MARKED = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: Sequence[str]) -> None:
    """Replace what stands between each pair of markers by the results of that name."""
    argparse.ArgumentParser(prog="python -m bench document", description=__doc__).parse_args(arguments)
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(_MARKED.sub(_replaced, text))
    print(f"{DOCUMENT.name} is written")


def _replaced(marked: re.Match[str]) -> str:
    path = RESULTS / f"{marked[2]}.json"
    if not path.exists():
        print(
            f"{marked[2]}: no results in {RESULTS.name}, its old table stays; run: scripts/bench {marked[2]}"
        )
        return marked[0]
    return f"{marked[1]}\n{_markdown(json.loads(path.read_text()))}\n{marked[3]}"


def _markdown(record: dict[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items() if version)
    place = f"{machine['processors']} processors, Python {machine['python']}"
    taken = f"Taken {record['taken']} on {place}; {versions}."
    return "\n".join([*(_table(table) for table in record["tables"]), taken, ""])


def _table(table: dict[str, Any]) -> str:
    rows: list[dict[str, Any]] = table["rows"]
    columns = list(rows[0])
    lines = [
        columns,
        ["---", *["---:"] * (len(columns) - 1)],
        *([cell_text(cell) for cell in row.values()] for row in rows),
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"*{table['title']}*\n\n{body}\n"
