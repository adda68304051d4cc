"""docs/testing.md is a project whose tests pass, made of its Python blocks. Its tables leave nothing out."""

import re
import sys
from pathlib import Path

import pytest

from sluicegate.testing import FaultyOrigin, Seen, faults
from tests.testing.test_plugin import run_pytest

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "testing.md").read_text()

_BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTINGS = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


def test_every_block_is_a_file() -> None:
    assert len(_BLOCK.findall(TEXT)) == TEXT.count("```python")


def test_examples_pass(tmp_path: Path) -> None:
    for name, code in _BLOCK.findall(TEXT):
        (tmp_path / name).write_text(code)
    (tmp_path / "pytest.ini").write_text(_SETTINGS)
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_project_needs_is_in_its_command() -> None:
    blocks = dict(_BLOCK.findall(TEXT))
    (command,) = re.findall(r'^    pip install "sluicegate\[testing,aiohttp\]" (.*)$', TEXT, re.MULTILINE)
    imported = {
        name.partition(".")[0]
        for code in blocks.values()
        for name in re.findall(r"^(?:from|import) ([\w.]+)", code, re.MULTILINE)
    }
    given = {
        "sluicegate",
        "starlette",
        "pytest",
        *(Path(name).stem for name in blocks),
        *sys.stdlib_module_names,
    }
    # boto3 brings botocore; the rest is behind open_http, asynchronous tests and the TestClient.
    assert imported - given == {"boto3", "botocore", "uvicorn"}
    assert command.split() == ["pytest-asyncio", "uvicorn", "boto3", "httpx2"]


@pytest.mark.parametrize("fault", faults.Fault.__args__, ids=lambda fault: fault.__name__)
def test_fault_is_in_the_table(fault: type[object]) -> None:
    name = "OK" if fault is faults.Ok else f"{fault.__name__}("
    assert f"`{name}" in TEXT


@pytest.mark.parametrize("name", [name for name in vars(FaultyOrigin) if not name.startswith("_")])
def test_what_an_origin_can_do_is_told(name: str) -> None:
    assert re.search(rf"`(await |origin\.)?{name}\b", TEXT)


@pytest.mark.parametrize("name", Seen.__dataclass_fields__)
def test_what_was_seen_is_told(name: str) -> None:
    assert f"`{name}`" in TEXT
