"""Redis on a loopback port, without a file: stopped and started again while a test goes on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from .process import executable, free_port, listens, running


class RedisServer:
    """A Redis that can be stopped and started again at the same port; what it held is lost."""

    def __init__(self, program: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._program = program
        self._run = ExitStack()

    def start(self) -> None:
        """Start it, and return when it answers."""
        where = ("--bind", "127.0.0.1", "--port", str(self.port))
        command = [self._program, *where, "--save", "", "--appendonly", "no", "--daemonize", "no"]
        self._run.enter_context(running(command, ready=listens(self.port)))

    def stop(self) -> None:
        """Stop it, and return when it has ended."""
        self._run.close()


@contextmanager
def redis() -> Iterator[RedisServer]:
    """Run a Redis until the block ends.

    Raises `ServerMissing` where it is not installed.
    """
    server = RedisServer(executable("redis-server", "apt-get install redis-server"))
    server.start()
    try:
        yield server
    finally:
        server.stop()
