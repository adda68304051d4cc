"""What a running peer is, and which version of its program."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.servers.process import ServerMissing, executable
from tests.servers.s3 import S3Server

from ..origins import direct_url


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server: the URL at which it serves the image of task 1, and the id of its first process.

    The id is `None` if what it costs is not to be counted.
    """

    url: str
    pid: int | None


@contextmanager
def origin_itself(store: S3Server) -> Iterator[Peer]:
    """Nobody in between, which is the floor."""
    yield Peer(direct_url(store), None)


def version(command: list[str], install: str) -> str:
    """Return the first line of what a program says of its version, or how to install it."""
    try:
        program = executable(command[0], install)
    except ServerMissing as missing:
        return str(missing)
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=30, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].strip()
