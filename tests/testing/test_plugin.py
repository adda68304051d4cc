"""The fixtures in a project that uses Sluicegate, and what they cost one that does not."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sluicegate import testing

ROOT = Path(__file__).parent.parent.parent
SECONDS = 60

_TESTS = """
import asyncio
import urllib.request

import pytest

from sluicegate.testing import Reset


def test_origin(faulty_origin):
    faulty_origin.put("/a", b"content")
    with urllib.request.urlopen(faulty_origin.url + "/a") as got:
        assert got.read() == b"content"


def test_origin_is_fresh(faulty_origin):
    assert faulty_origin.content("/a") is None


def test_tls_origin(faulty_tls_origin):
    assert faulty_tls_origin.url.startswith("https://")
    assert faulty_tls_origin.ca_file.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")


def test_client(faulty_origin, slow_client, assert_no_leak):
    faulty_origin.put("/a", b"content")
    faulty_origin.fail("/a", Reset(after=3))

    async def run():
        async with assert_no_leak(faulty_origin):
            client = await slow_client(faulty_origin.url, receive_buffer=4096)
            answer = await client.get("/a")
            assert answer.content == b"con"
            assert answer.reset

    with pytest.raises(AssertionError, match="file descriptor"):
        asyncio.run(run())
    faulty_origin.wait_for(lambda origin: origin.open_connections == 0)
"""


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def run_pytest(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the tests in that folder, with these plugins whatever the environment has."""
    plugins = ["pytest_asyncio.plugin", "pytest_timeout", "sluicegate.testing.plugin", "no:cacheprovider"]
    chosen = [word for plugin in plugins for word in ("-p", plugin)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout", "30", *chosen],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_fixtures_work(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run_pytest(tmp_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_plugin_is_what_the_project_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert declared["entry-points"]["pytest11"] == {"sluicegate": "sluicegate.testing.plugin"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        pytest.param(
            "import sluicegate.testing.plugin", ["sluicegate.testing.origin", "trustme", "ssl"], id="plugin"
        ),
        pytest.param(
            "from sluicegate.testing import FaultyOrigin, SlowClient, assert_no_leak, memory_source",
            ["pytest", "trustme"],
            id="testing",
        ),
    ],
)
def test_import_brings_no_more_than_it_needs(statement: str, absent: list[str], tmp_path: Path) -> None:
    code = f"import sys\nimport sluicegate\nbefore = set(sys.modules)\n{statement}\n"
    code += f"print([name for name in {absent!r} if name in set(sys.modules) - before])"
    done = run("-c", code, cwd=tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_public_name_is_there() -> None:
    assert sorted(dir(testing)) == sorted(testing.__all__)
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = testing.nothing
