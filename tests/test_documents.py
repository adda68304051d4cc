"""The documents say nothing that is not there: tests that they name, files that they link."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

_TEST = re.compile(r"`([a-z_]+/[a-z_]+)::([a-z0-9_]+)`")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


CONTRACTS = ("http.md", "reliability.md")


def named_tests(*documents: str) -> list[tuple[str, str]]:
    texts = ((ROOT / "docs" / document).read_text() for document in documents)
    return sorted({(file, name) for text in texts for file, name in _TEST.findall(text)})


@pytest.mark.parametrize(("document", "least"), [("http.md", 41), ("reliability.md", 30)])
def test_contract_names_tests(document: str, least: int) -> None:
    assert len(named_tests(document)) >= least


@pytest.mark.parametrize(("file", "name"), named_tests(*CONTRACTS))
def test_test_that_a_contract_names_exists(file: str, name: str) -> None:
    folder, _, stem = file.partition("/")
    source = (ROOT / "tests" / folder / f"test_{stem}.py").read_text()
    assert re.search(rf"^(?:async )?def test_{name}\(", source, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    for target in _LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target
