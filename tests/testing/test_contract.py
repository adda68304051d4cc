"""The contract itself: it catches sources that break it, and says what it skips."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sluicegate.testing import SourceContract
from sluicegate.testing.contract import SourceContract as Direct

BROKEN_SOURCES = '''
"""Sources that are right but for one thing each."""

from dataclasses import replace
from typing import ClassVar

import pytest

from sluicegate import OpenRequest
from sluicegate.errors import Denied, NotFound, SourceError
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.ranges import Span
from sluicegate.sources.base import Found
from sluicegate.testing import ScriptedSource, SourceContract, Subject
from sluicegate.testing.scripted_body import ScriptedBody


class Contract(SourceContract):
    kind = ScriptedSource

    @pytest.fixture
    def subject(self):
        source = self.kind()

        async def put(key, content, content_type="text/plain"):
            source.put(key, content, content_type=content_type)

        return Subject(source, put)


class Tidy(ScriptedSource):
    async def open(self, key, request):
        if "//" in key:
            key = key.replace("///", "/").replace("//", "/")
        return await super().open(key, request)


class TestTidiesKeys(Contract):
    kind = Tidy


class Loose(ScriptedSource):
    async def open(self, key, request):
        try:
            return await super().open(key, request)
        except NotFound as exc:
            raise Denied("no") from exc


class TestDeniesWhatIsMissing(Contract):
    kind = Loose


class OffByOne(ScriptedSource):
    async def open(self, key, request):
        outcome = await super().open(key, request)
        if isinstance(outcome, Found) and outcome.span is not None:
            return replace(outcome, span=Span(outcome.span.start, outcome.span.stop + 1))
        return outcome


class TestCountsWrong(Contract):
    kind = OffByOne


class Unconditional(ScriptedSource):
    async def open(self, key, request):
        return await super().open(key, OpenRequest(head=request.head, range=request.range))


class TestIgnoresConditions(Contract):
    kind = Unconditional


class Shortened(ScriptedSource):
    async def open(self, key, request):
        self.end_after(key, 4_999_999)
        return await super().open(key, request)


class TestLosesTheLastByte(Contract):
    kind = Shortened


class TestDeclares(Contract):
    kind = Tidy
    cannot_hold: ClassVar = {"trailing-slash": "REASON-KEY"}
    departures: ClassVar = {
        "test_awkward_key[empty-segment]": "REASON-CASE",
        "test_many_at_once": "REASON-TEST",
    }
'''

CAUGHT = {
    "TestTidiesKeys": {"test_awkward_key[empty-segment]", "test_awkward_key[empty-segments]"},
    "TestDeniesWhatIsMissing": {
        "test_missing_object_is_not_found[whole]",
        "test_folder_is_no_object",
        "test_invalid_key[empty]",
        "test_awkward_key[spaces]",
    },
    "TestCountsWrong": {"test_range[first-byte]", "test_range[suffix-longer]", "test_range_of_large_object"},
    "TestIgnoresConditions": {
        "test_same_tag_is_not_modified[get]",
        "test_match_of_another_version_fails[range]",
        "test_unmodified_since",
    },
    "TestLosesTheLastByte": {"test_large_object_is_exact"},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of sources that break the contract."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "test_broken.py").write_text(textwrap.dedent(BROKEN_SOURCES))
    options = ["-q", "-rA", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", str(folder)]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout


@pytest.mark.parametrize("name", CAUGHT)
def test_source_that_breaks_the_contract_is_caught(report: str, name: str) -> None:
    failed = {
        line.split("::")[2].split(" ")[0]
        for line in report.splitlines()
        if line.startswith("FAILED") and f"::{name}::" in line
    }
    assert failed >= CAUGHT[name], report[-3000:]


def test_failure_shows_the_values(report: str) -> None:
    assert "Span(start=0, stop=2)" in report


@pytest.mark.parametrize("reason", ["REASON-KEY", "REASON-CASE", "REASON-TEST"])
def test_declared_reason_is_shown(report: str, reason: str) -> None:
    assert [line for line in report.splitlines() if line.startswith("SKIPPED") and line.endswith(reason)]


@pytest.mark.parametrize("attribute", ["cannot_hold", "departures"])
def test_declaration_that_means_nothing_is_refused(attribute: str) -> None:
    with pytest.raises(TypeError, match="no-such-thing"):
        type("TestTypo", (SourceContract,), {attribute: {"no-such-thing": "reason"}})


def test_subject_must_be_given(tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text(
        "from sluicegate.testing import SourceContract\n\n\nclass TestNone(SourceContract): ...\n"
    )
    options = ["-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path), "-k", "test_whole_object"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path).stdout
    assert "TestNone needs a fixture named 'subject'" in said


def test_public_name_is_the_class() -> None:
    assert SourceContract is Direct


def test_testing_needs_no_pytest() -> None:
    program = "import sys; sys.modules['pytest'] = None; from sluicegate.testing import STALL; print(STALL)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "Stall()\n", done.stderr
