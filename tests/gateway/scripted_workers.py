"""The process that looks after workers, with workers that serve nothing and follow a script.

`python -m tests.gateway.scripted_workers CONFIG SCRIPT PREPARE_SECONDS` runs in a folder of its own. Who is
there first follows the script, which has a word for each attempt, as "refuse,die"; the others, those that
replace it, and all of them at the script's end, obey. Each says in a line what it is told. With the word
"lame" in the script, those that replace others cannot start with the configuration "first".
"""

import os
import socket
import sys
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from sluicegate.gateway.agreement import (
    AskReload,
    CannotPrepare,
    Commit,
    Committed,
    Order,
    Prepare,
    Prepared,
    Serving,
)
from sluicegate.gateway.config import Config
from sluicegate.gateway.listening import Listeners
from sluicegate.gateway.log import configure_log
from sluicegate.gateway.reloading import ConfigFile, Operation
from sluicegate.gateway.signals import HangUps, ended_by_signals
from sluicegate.gateway.systemd import Notifier
from sluicegate.gateway.workers import supervise

COUNT = 2
DEAF_SECONDS = 60.0


def work(config: Config, listeners: Listeners, pipe: Connection) -> bool:
    script, start = os.environ["SCRIPT"].split(","), number_of_start()
    words = script if start == 1 else []
    say(f"{os.getpid()} begins with {config.gateway.title!r}")
    if "lame" in script and start > COUNT and config.gateway.title == "first":
        return False
    pipe.send(Serving())
    if "ask" in words:
        pipe.send(AskReload(7))
    if "deaf" in words:
        listeners.clients.settimeout(DEAF_SECONDS)
        listeners.clients.accept()
    while True:
        order: Order = pipe.recv()
        say(f"{os.getpid()} hears {type(order).__name__}")
        act(words, order, pipe)


def act(words: list[str], order: Order, pipe: Connection) -> None:
    turn = getattr(order, "turn", 0)
    match words[turn - 1] if 0 < turn <= len(words) else "obey", order:
        case "refuse", Prepare(turn):
            pipe.send(CannotPrepare(turn, "no such bucket"))
        case "die", Prepare():
            os._exit(9)
        case ("silent", Prepare()) | ("stuck", Commit()):
            return
        case _, Prepare(turn):
            pipe.send(Prepared(turn))
        case _, Commit(turn):
            pipe.send(Committed(turn))


def number_of_start() -> int:
    """How many have started, this one too."""
    for number in count(1):
        with suppress(FileExistsError):
            os.close(os.open(f"start-{number}", os.O_CREAT | os.O_EXCL))
            return number
    raise AssertionError("unreachable")


def say(line: str) -> None:
    # One call: lines of several processes do not mix.
    os.write(1, f"{line}\n".encode())


def main(path: str, script: str, seconds: str) -> None:
    os.environ["SCRIPT"] = script
    configure_log("text")
    file = ConfigFile(Path(path), os.environ)
    operation = Operation(file, HangUps(), Notifier(), float(seconds))
    with ended_by_signals(operation.hang_ups.handle), socket.create_server(("127.0.0.1", 0)) as bound:
        supervise(work, file.read(), Listeners(bound), COUNT, operation)


if __name__ == "__main__":
    main(*sys.argv[1:])
