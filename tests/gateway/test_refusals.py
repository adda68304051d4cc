"""What the server itself refuses is counted and logged like every other answer."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sluicegate import TransferRecord
from sluicegate.gateway.metrics import Metrics
from sluicegate.gateway.protocol import Refusal
from sluicegate.gateway.refusals import RefusalObserver
from tests.servers.process import free_port

from .in_thread import empty, eventually, in_thread
from .test_cli_serve import Served, serving

CONFIG = """
[admin]
address = "127.0.0.1:%d"
[limits]
max_url = 1024
max_head = 4096
head_timeout = 0.5
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


@pytest.fixture(scope="module")
def admin() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def server(admin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = tmp_path_factory.mktemp("refusals") / "sluicegate.toml"
    config.write_text(CONFIG % urlsplit(admin).port)
    with serving(config) as served:
        yield served


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


@pytest.mark.parametrize("reason", SENT)
def test_refusal_is_counted_and_a_line_of_the_log_if_it_was_answered(
    reason: str, server: Served, admin: str
) -> None:
    sent, status = SENT[reason]
    before, lines = refused(admin, reason), len(refusals(server.log))
    with connect(server) as client:
        client.sendall(sent)
        while client.recv(65536):
            pass
    eventually(lambda: refused(admin, reason) == before + 1)
    if status is None:
        assert len(refusals(server.log)) == lines
        return
    *_, last = refusals(server.log)
    assert len(refusals(server.log)) == lines + 1
    assert (last["status"], last["client"], last["level"]) == (status, "127.0.0.1", "info")
    assert not {"method", "key", "route"} & last.keys()


def test_connections_are_counted_and_those_beyond_the_limit_refused(tmp_path: Path) -> None:
    admin = f"http://127.0.0.1:{free_port()}"
    config = tmp_path / "sluicegate.toml"
    # A head has the usual time here: nobody is sent away meanwhile for saying nothing.
    limited = CONFIG.replace("head_timeout = 0.5", "max_connections = 4")
    config.write_text(limited % urlsplit(admin).port)
    with serving(config) as server, ExitStack() as stack:
        eventually(lambda: number(admin, "sluicegate_connections") == 0)
        for _ in range(4):
            stack.enter_context(connect(server))
        eventually(lambda: number(admin, "sluicegate_connections") == 4)
        with connect(server) as beyond:
            assert beyond.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert refused(admin, "connections") == 1
        stack.close()
        eventually(lambda: number(admin, "sluicegate_connections") == 0)
        assert refusals(server.log) == []


def test_refusal_that_cuts_an_answer_has_no_line_beside_it() -> None:
    listener = Recorded()
    released = threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "http" and not released.is_set():
            await asyncio.sleep(0.01)
        await empty(scope, receive, send)

    with in_thread(slow) as server, server.connect() as client:
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
