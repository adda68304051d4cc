"""`sluicegate demo`, as somebody who tries it for the first time: every line that it prints works."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.servers.process import executable, free_port

SLUICEGATE = executable("sluicegate", "pip install -e '.[server]'")
START_SECONDS = 20.0
END_SECONDS = 20.0
JPEG = (b"\xff\xd8\xff", b"\xff\xd9")


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: what it said, and the folder in which it makes its own."""

    process: "subprocess.Popen[bytes]"
    said: str
    temporary: Path
    log: Path

    @property
    def url(self) -> str:
        found = re.search(r"http://[0-9.]+:[0-9]+", self.said)
        assert found is not None
        return found[0]


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    """Run the demo on a free port; what it keeps in temporary folders is below `folder`."""
    temporary, out, log = folder / "a b#c", folder / "out", folder / "log"
    temporary.mkdir()
    with out.open("wb") as output, log.open("wb") as errors:
        process = subprocess.Popen(
            [SLUICEGATE, "demo", "--port", str(free_port())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**os.environ, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "startup complete" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield Demo(process, out.read_text(), temporary, log)
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def running_demo() -> Iterator[Demo]:
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as running:
        yield running


def curl(line: str, folder: Path) -> str:
    """Run one of the printed lines in `folder`, as a shell would; returns what it prints."""
    words = shlex.split(line, comments=True)
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(
        [program, "-sS", "--noproxy", "*", *words[1:]],
        cwd=folder,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def printed_lines(running: Demo) -> list[str]:
    return [line.strip() for line in running.said.splitlines() if line.strip().startswith("curl ")]


def said(running: Demo, words: str) -> str:
    """What stands behind `words` on a line of what it said."""
    return next(
        line.removeprefix(words).strip() for line in running.said.splitlines() if line.startswith(words)
    )


def test_every_printed_line_works(running_demo: Demo, tmp_path: Path) -> None:
    answers = [curl(line, tmp_path) for line in printed_lines(running_demo)]
    image = (tmp_path / "image.jpg").read_bytes()
    assert (image[:3], image[-2:]) == JPEG
    assert len(image) > 100_000
    # curl -i -o writes head and body into the file.
    part, relayed = ((tmp_path / name).read_bytes() for name in ("part.bin", "bytes.bin"))
    assert part.startswith(b"HTTP/1.1 206 ")
    assert b"content-range: bytes 0-99/10000000\r\n" in part
    assert len(part.partition(b"\r\n\r\n")[2]) == 100
    assert relayed.startswith(b"HTTP/1.1 200 ")
    assert len(relayed.partition(b"\r\n\r\n")[2]) == 100_000
    statuses = [answer.split(" ")[1] if answer else None for answer in answers]
    assert statuses == [None, None, "200", "206", None, None, "422"]


def test_documentation_is_where_it_says(running_demo: Demo) -> None:
    assert f"documentation is at {running_demo.url}/docs" in running_demo.said
    page = httpx.get(f"{running_demo.url}/docs", trust_env=False)
    assert page.status_code == 200
    assert "<title>Sluicegate demo</title>" in page.text


def test_files_are_where_it_says(running_demo: Demo) -> None:
    config = Path(said(running_demo, "The configuration is"))
    objects = Path(said(running_demo, "The objects are in"))
    assert config.is_relative_to(running_demo.temporary)
    served = httpx.get(f"{running_demo.url}/files/ten-megabytes.bin", trust_env=False)
    assert served.content == (objects / "ten-megabytes.bin").read_bytes()
    assert len(served.content) == 10_000_000
    assert served.headers["content-disposition"] == 'attachment; filename="ten-megabytes.bin"'


def test_relay_refuses_more_than_its_upstream_serves(running_demo: Demo) -> None:
    assert httpx.get(f"{running_demo.url}/tasks/1/bytes/100000001", trust_env=False).status_code == 502


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["sigterm", "sigint", "sighup"]
)
def test_signal_ends_it_with_0_and_removes_its_folder(number: int, tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        assert httpx.get(f"{running.url}/tasks/1/image", trust_env=False).status_code == 200
        assert len(list(running.temporary.iterdir())) == 1
        running.process.send_signal(number)
        assert running.process.wait(END_SECONDS) == 0
        assert list(running.temporary.iterdir()) == []
        assert "Traceback" not in running.log.read_text()


def test_two_signals_still_remove_its_folder(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(END_SECONDS) == 0
        assert list(running.temporary.iterdir()) == []


def test_signal_while_it_starts_leaves_no_folder(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [SLUICEGATE, "demo", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not list(temporary.iterdir()):
                assert process.poll() is None
                assert time.monotonic() < deadline
            process.terminate()
            assert process.wait(END_SECONDS) == 0
        finally:
            process.kill()
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in (tmp_path / "log").read_text()
