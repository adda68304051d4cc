"""Which benchmarks there are, and that one that fails is told in the end."""

import re
from pathlib import Path

import pytest

from bench.__main__ import NAMES, help_text, main, quick_arguments, run_all, summary

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_is_listed_and_has_a_place_in_the_document(name: str) -> None:
    assert f"  {name} " in help_text()
    assert summary(name) in help_text()
    assert f"<!-- results: {name} -->" in DOCUMENT.read_text()


def test_every_marker_in_the_document_is_closed() -> None:
    markers = re.findall(r"<!-- (results|end)\b", DOCUMENT.read_text())
    assert markers == ["results", "end"] * (len(markers) // 2)


def test_quick_arguments_are_read_from_the_module() -> None:
    quick = quick_arguments("start")
    assert quick is not None
    assert quick[0] == "--rounds"


def test_module_without_quick_arguments_has_none() -> None:
    assert quick_arguments("document") is None


def test_one_that_fails_does_not_stop_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all(["neither", "nor"], quick=False) == 1
    said = capfd.readouterr()
    assert "1 of 2, neither: failed" in said.out
    assert "2 of 2, nor: failed" in said.out
    assert "failed: neither, nor" in said.err


def test_unknown_name_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such"]) == 2
    said = capsys.readouterr().err
    assert "no benchmark 'no_such'" in said
    assert "ten_megabytes" in said


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == f"{help_text()}\n"
