"""Writes the last results into docs/benchmarks.md, with their plots, so that no number is typed by hand."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .plots import draw, from_json
from .report import RESULTS, cell_text

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PLOTS = "plots"
"""The folder of the plots, beside the document."""

_MARKED = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: Sequence[str]) -> None:
    """Replace what stands between each pair of markers by the results of that name, and draw their plots."""
    argparse.ArgumentParser(prog="python -m bench document", description=__doc__).parse_args(arguments)
    write(DOCUMENT, RESULTS)
    print(f"{DOCUMENT.name} is written")


def write(document: Path, results: Path) -> None:
    """Write the results in a folder into a document, and their plots into `plots/` beside it.

    What stands between markers without results stays.
    """
    records = {name: _read(results, name) for _, name, _ in _MARKED.findall(document.read_text())}
    known = {name: record for name, record in records.items() if record is not None}
    for record in known.values():
        for plot in record.get("plots", ()):
            draw(from_json(plot), document.parent / PLOTS)
    document.write_text(replaced(document.read_text(), known))


def replaced(text: str, records: Mapping[str, dict[str, Any]]) -> str:
    """Return `text` with the results that are known between their markers."""

    def replacement(marked: re.Match[str]) -> str:
        record = records.get(marked[2])
        return marked[0] if record is None else f"{marked[1]}\n{_markdown(record)}\n{marked[3]}"

    return _MARKED.sub(replacement, text)


def _read(results: Path, name: str) -> dict[str, Any] | None:
    path = results / f"{name}.json"
    if not path.exists():
        print(f"{name}: no results in {results.name}, what stands there stays; run: scripts/bench {name}")
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def _markdown(record: dict[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items() if version)
    place = f"{machine['processors']} processors, Python {machine['python']}"
    taken = f"Taken {record['taken']} on {place}; {versions}."
    plots = [f"![{plot['title']}]({PLOTS}/{plot['name']}.svg)\n" for plot in record.get("plots", ())]
    return "\n".join([*(_table(table) for table in record["tables"]), *plots, taken, ""])


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
