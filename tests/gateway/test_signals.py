"""A signal that ends is obeyed whenever it comes, and wherever Python drops what its handler raises."""

import subprocess
import sys
from pathlib import Path

import pytest

SERVED = """
import signal, sys
from contextlib import closing
from pathlib import Path
from sluicegate.gateway.config import load_config
from sluicegate.gateway.listening import Listeners, listen
from sluicegate.gateway.server import serve
from sluicegate.gateway.signals import ended_by_signals

class Dropping:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

if __name__ == "__main__":
    with ended_by_signals(), closing(Listeners(listen("127.0.0.1", 0))) as listeners:
        Dropping()
        serve(load_config(Path(sys.argv[1]), {}), listeners, int(sys.argv[2]))
    print("ended")
"""


WHILE_IT_STARTS = """
from sluicegate.gateway.draining import DrainingServer

async def signalled(self, sockets=None):
    signal.raise_signal(signal.SIGTERM)

DrainingServer.serve = signalled
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_signal_that_was_dropped_before_serving_ends_it(workers: int, tmp_path: Path) -> None:
    done = _run(SERVED, tmp_path, workers)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
    assert "SystemExit" in done.stderr


def test_signal_while_it_starts_is_no_failed_start(tmp_path: Path) -> None:
    begins = SERVED.replace("Dropping()\n", "pass\n").replace(
        "if __name__", WHILE_IT_STARTS + "\nif __name__"
    )
    done = _run(begins, tmp_path, workers=1)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def _run(text: str, folder: Path, workers: int) -> subprocess.CompletedProcess[str]:
    config, script = folder / "sluicegate.toml", folder / "served.py"
    config.write_text('[stores.s]\nurl = "memory://"\n[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\n')
    script.write_text(text)
    command = [sys.executable, str(script), str(config), str(workers)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
