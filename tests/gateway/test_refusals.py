"""What the server itself refuses is counted and logged like every other answer."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from sluicegate import TransferRecord
from sluicegate.gateway.metrics import Metrics
from sluicegate.gateway.protocol import Refusal
from sluicegate.gateway.refusals import RefusalObserver
from tests.servers.process import free_port

from .in_thread import eventually, held_back, in_thread
from .test_cli_serve import Served, serving

CONFIG = """
[admin]
address = "127.0.0.1:%d"
[limits]
max_url = 1024
max_head = 4096
[stores.files]
url = "memory://"
[[routes]]
path = "/{key:path}"
object = "files:{key}"
"""

SENT = {
    "malformed": (b"no request\r\n\r\n", 400),
    "url_too_long": (b"GET /%s HTTP/1.1\r\n" % (b"a" * 2000), 414),
    "head_too_large": (b"GET / HTTP/1.1\r\nx: %s\r\n" % (b"a" * 5000), 431),
    "head_timeout": (b"GET / HTT", 408),
    "idle": (b"\r\n", None),
    "silent": (b"", None),
}
"""By reason, what leads to it, and the status that is answered."""

LATE = ("head_timeout", "idle", "silent")
"""Those of a client that takes too long. Only they are asked of a gateway that takes half a second for it."""


@dataclass(frozen=True, slots=True)
class Refusing:
    """A gateway, and the URL of its admin listener."""

    served: Served
    admin: str


@contextmanager
def refusing(folder: Path, limits: str = "") -> Iterator[Refusing]:
    """Run a gateway with more limits, lines of TOML."""
    port = free_port()
    config = folder / "sluicegate.toml"
    config.write_text((CONFIG % port).replace("[limits]\n", f"[limits]\n{limits}\n"))
    with serving(config) as served:
        yield Refusing(served, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    with refusing(tmp_path_factory.mktemp("patient")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    with refusing(tmp_path_factory.mktemp("hasty"), "head_timeout = 0.5") as gateway:
        yield gateway


def connect(server: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10)


def number(admin: str, series: str) -> float:
    """The value of a series of `/metrics`; 0 where there is none."""
    lines = httpx.get(f"{admin}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), 0.0)


def refused(admin: str, reason: str) -> float:
    return number(admin, f'sluicegate_refused_total{{reason="{reason}",route=""}}')


def refusals(log: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if str(line.get("error", "")).startswith("Protocol: ")]


def is_refused(reason: str, gateway: Refusing) -> bool:
    """Whether a client is refused for this reason; one that is held up too long has been silent."""
    before, silent = refused(gateway.admin, reason), refused(gateway.admin, "silent")
    with connect(gateway.served) as client, suppress(ConnectionError):
        client.sendall(SENT[reason][0])
        while client.recv(65536):
            pass
    eventually(lambda: refused(gateway.admin, reason) > before or refused(gateway.admin, "silent") > silent)
    return refused(gateway.admin, reason) > before


@pytest.mark.parametrize("reason", SENT)
def test_refusal_is_counted_and_a_line_of_the_log_if_it_was_answered(
    reason: str, request: pytest.FixtureRequest
) -> None:
    gateway: Refusing = request.getfixturevalue("hasty" if reason in LATE else "patient")
    log, status = gateway.served.log, SENT[reason][1]
    before, lines = refused(gateway.admin, reason), len(refusals(log))
    assert any(is_refused(reason, gateway) for _ in range(10))
    assert refused(gateway.admin, reason) == before + 1
    if status is None:
        assert len(refusals(log)) == lines
        return
    eventually(lambda: len(refusals(log)) > lines)
    *_, last = refusals(log)
    assert len(refusals(log)) == lines + 1
    assert (last["status"], last["client"], last["level"]) == (status, "127.0.0.1", "info")
    assert not {"method", "key", "route"} & last.keys()


def test_connections_are_counted_and_those_beyond_the_limit_refused(tmp_path: Path) -> None:
    # A head has the usual time here: nobody is sent away meanwhile for saying nothing.
    with refusing(tmp_path, "max_connections = 4") as gateway, ExitStack() as stack:
        admin = gateway.admin
        eventually(lambda: number(admin, "sluicegate_connections") == 0)
        for _ in range(4):
            stack.enter_context(connect(gateway.served))
        eventually(lambda: number(admin, "sluicegate_connections") == 4)
        with connect(gateway.served) as beyond:
            assert beyond.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert refused(admin, "connections") == 1
        stack.close()
        eventually(lambda: number(admin, "sluicegate_connections") == 0)
        assert refusals(gateway.served.log) == []


def test_refusal_that_cuts_an_answer_has_no_line_beside_it() -> None:
    listener = Recorded()
    released = threading.Event()

    with in_thread(held_back(released)) as server, server.connect() as client:
        server.count.listener = listener
        client.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nno request\r\n\r\n")
        eventually(lambda: bool(listener.refusals))
        released.set()
        assert b"400" not in client.recv(65536)
    assert [(one.reason, one.status) for one in listener.refusals] == [("malformed", None)]


def test_status_is_a_plain_number_in_the_log() -> None:
    records: list[TransferRecord] = []
    observer = RefusalObserver(Metrics("1.2.3"), records.append)
    observer.refusal(Refusal("malformed", HTTPStatus.BAD_REQUEST, "127.0.0.1", 0.1))
    (record,) = records
    assert repr(record.status) == "400"


class Recorded:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []

    def connections(self, change: int) -> None: ...

    def refusal(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)
