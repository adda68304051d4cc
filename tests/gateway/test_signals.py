"""A signal that ends is obeyed whenever it comes, and wherever Python drops what its handler raises."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sluicegate.gateway.signals import ENDING, end_was_asked, ended_by_signals, taken_over

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


def test_end_is_asked_of_one_block_and_not_of_the_next() -> None:
    with pytest.raises(SystemExit), ended_by_signals():
        signal.raise_signal(signal.SIGTERM)
    assert not end_was_asked()


def test_signal_amid_taking_over_undoes_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_handler, handler = signal.signal, lambda number, frame: None
    left = 1

    def interrupted(number: int, wanted: Any) -> Any:
        nonlocal left
        before = set_handler(number, wanted)
        if wanted is handler and left:
            left -= 1
            with suppress(SystemExit):
                signal.raise_signal(signal.SIGTERM)
        return before

    with ended_by_signals():
        monkeypatch.setattr(signal, "signal", interrupted)
        with taken_over(handler, (signal.SIGINT, signal.SIGTERM)):
            assert end_was_asked()
            assert [signal.getsignal(number) for number in ENDING] == [handler, handler]
        monkeypatch.undo()


def _run(text: str, folder: Path, workers: int) -> subprocess.CompletedProcess[str]:
    config, script = folder / "sluicegate.toml", folder / "served.py"
    config.write_text('[stores.s]\nurl = "memory://"\n[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\n')
    script.write_text(text)
    command = [sys.executable, str(script), str(config), str(workers)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
