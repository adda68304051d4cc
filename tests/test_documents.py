"""The documents say nothing that is not there: tests that they name, files that they link."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

_TEST = re.compile(r"`([a-z_]+/[a-z_]+)::([a-z0-9_]+)`")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def named_tests() -> list[tuple[str, str]]:
    return sorted({(file, name) for file, name in _TEST.findall((ROOT / "docs" / "http.md").read_text())})


def test_contract_names_tests() -> None:
    assert len(named_tests()) > 40


@pytest.mark.parametrize(("file", "name"), named_tests())
def test_test_that_the_contract_names_exists(file: str, name: str) -> None:
    folder, _, stem = file.partition("/")
    source = (ROOT / "tests" / folder / f"test_{stem}.py").read_text()
    assert re.search(rf"^(?:async )?def test_{name}\(", source, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    for target in _LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target
