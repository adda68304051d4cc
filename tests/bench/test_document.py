"""Results are written between their markers, and what has none stays."""

import json
from pathlib import Path

from bench import report
from bench.document import replaced, write
from bench.plots import Plot, Series, to_json

DOCUMENT = """\
# Benchmarks

<!-- results: speed -->

an old table

<!-- end -->

Prose.

<!-- results: memory -->

another old table

<!-- end -->
"""

WRITTEN = """\
# Benchmarks

<!-- results: speed -->

*downloads*

| contestant | seconds |
| --- | ---: |
| gateway | 0.12 |
| store | - |

![Speed](plots/speed.svg)

Taken 2026-01-31T12:00:00Z on 2 processors, Python 3.11.7; sluicegate 0.1.0.

<!-- end -->

Prose.

<!-- results: memory -->

another old table

<!-- end -->
"""

RECORD = {
    "benchmark": "speed",
    "taken": "2026-01-31T12:00:00Z",
    "machine": {"system": "Linux", "processors": 2, "python": "3.11.7"},
    "versions": {"sluicegate": "0.1.0", "botocore": None},
    "settings": {},
    "tables": [
        {
            "title": "downloads",
            "rows": [
                {"contestant": "gateway", "seconds": 0.1234},
                {"contestant": "store", "seconds": None},
            ],
        }
    ],
    "plots": [to_json(Plot("speed", "Speed", "", "seconds", [Series("gateway", [("nginx", 0.1)])], "bar"))],
}


def test_results_replace_what_stands_between_their_markers() -> None:
    assert replaced(DOCUMENT, {"speed": RECORD}) == WRITTEN


def test_written_again_nothing_changes() -> None:
    assert replaced(WRITTEN, {"speed": RECORD}) == WRITTEN


def test_marker_lines_alone_are_filled() -> None:
    markers = "<!-- results: speed -->\n<!-- end -->\n"
    assert "| gateway | 0.12 |" in replaced(markers, {"speed": RECORD})


def test_results_without_plots_have_no_image() -> None:
    record = {name: value for name, value in RECORD.items() if name != "plots"}
    assert "![" not in replaced(DOCUMENT, {"speed": record})


def test_plots_are_drawn_beside_the_document(tmp_path: Path) -> None:
    document, results = tmp_path / "benchmarks.md", tmp_path / "results"
    document.write_text(DOCUMENT)
    results.mkdir()
    (results / "speed.json").write_text(json.dumps(RECORD))
    write(document, results)
    assert document.read_text() == WRITTEN
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["speed.png", "speed.svg"]


def test_table_is_aligned_for_people() -> None:
    table = report.Table("downloads", ("contestant", "seconds"), [("gateway", 0.1234), ("the store", None)])
    assert report.render(table) == (
        "downloads\n\ncontestant  seconds\n----------  -------\ngateway        0.12\nthe store         -"
    )
