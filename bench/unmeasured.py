"""The gateway but for its numbers, which nothing switches off: `python -m bench.unmeasured CONFIG PORT`.

It is what the cost of the numbers is compared with, and serves as `sluicegate serve` does in one process.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sluicegate import TransferRecord, __version__
from sluicegate.gateway.config import load_config
from sluicegate.gateway.draining import DrainingServer
from sluicegate.gateway.installation import Installation, server_settings
from sluicegate.gateway.listening import listen
from sluicegate.gateway.live import LiveGateway
from sluicegate.gateway.log import configure_log
from sluicegate.gateway.metrics import Metrics, Refused
from sluicegate.gateway.process import Process
from sluicegate.gateway.process_state import ProcessState
from sluicegate.gateway.protocol import RefusalReason
from sluicegate.gateway.server import bound_threads
from tests.servers.asgi import ServedApp
from tests.servers.process import answers, free_port, running, temporary_folder


class Unmeasured(Metrics):
    """Counts nothing of a request."""

    def __call__(self, record: TransferRecord) -> None:
        """Do nothing."""

    def begin(self, route: str) -> None:
        """Do nothing."""

    def end(self, route: str) -> None:
        """Do nothing."""

    def parked(self, change: int) -> None:
        """Do nothing."""

    def connected(self, change: int) -> None:
        """Do nothing."""

    def refused(self, route: str | None, reason: Refused | RefusalReason) -> None:
        """Do nothing."""


@contextmanager
def unmeasured_gateway(configuration: str) -> Iterator[ServedApp]:
    """Run it with a configuration (TOML) in a process of its own."""
    port = free_port()
    with temporary_folder() as folder:
        path = folder / "sluicegate.toml"
        path.write_text(configuration)
        command = [sys.executable, "-m", __name__, str(path), str(port)]
        with running(command, ready=answers(port), cwd=Path(__file__).parent.parent) as server:
            yield ServedApp(f"http://127.0.0.1:{port}", server.pid)


def main(path: str, port: str) -> None:
    """Serve the configuration at `path` until a signal comes."""
    config = load_config(Path(path), os.environ)
    configure_log(config.gateway.log)
    bound_threads()
    process = Process(ProcessState(Unmeasured(__version__)))
    gateway = LiveGateway(process.gateway(config), process.gateway)
    installation = Installation(gateway, server_settings(config))
    with listen("127.0.0.1", int(port)) as bound:
        DrainingServer(installation.gateway, installation.uvicorn).run([bound])


if __name__ == "__main__":
    main(*sys.argv[1:])
