"""Servers, stores and origins for the tests of this folder, each started once."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.asgi import serve
from tests.servers.httpbin import httpbin as run_httpbin
from tests.servers.process import answers, free_port, running
from tests.servers.s3 import S3Server

from .apps import BUCKET
from .origin import Origin, serve_origin
from .raw_client import UNTIL_SECONDS, Answer, fetch, until

ROOT = Path(__file__).parents[2]
APP = "tests.delivery.apps:app"
SERVERS = ("uvicorn", "uvicorn-h11", "granian")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its kind and its address."""

    kind: str
    url: str

    async def fetch(self, path: str, method: str = "GET", **fields: str | bytes) -> Answer:
        """One request, read to the end; `if_range` is the field `if-range`."""
        return await fetch(
            self.url, path, method, [(name.replace("_", "-"), fields[name]) for name in fields]
        )

    async def stats(self, name: str) -> dict[str, Any]:
        """What the application did for the request with `?id=name`."""
        stats: dict[str, Any] = json.loads((await self.fetch(f"/stats/{name}")).content)
        return stats

    async def logged(self) -> list[str]:
        """What anybody in the server logged as an error since the last call."""
        lines: list[str] = json.loads((await self.fetch("/logged")).content)
        return lines

    async def released(self, name: str, seconds: float = UNTIL_SECONDS) -> None:
        """Wait until the body of the request with `?id=name` is closed, `seconds` at most."""

        async def closed() -> bool:
            return bool((await self.stats(name))["closed"])

        await until(closed, seconds)


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    with serve_origin() as running_origin:
        yield running_origin


@pytest.fixture(scope="session")
def store(juicefs_server: S3Server) -> S3Server:
    """The default store, with the bucket of these tests."""
    juicefs_server.client().create_bucket(Bucket=BUCKET)
    return juicefs_server


@pytest.fixture(scope="session")
def s3(store: S3Server) -> Any:
    """A boto3 client of the store."""
    return store.client()


@pytest.fixture(scope="session")
def httpbin() -> Iterator[str]:
    with run_httpbin() as url:
        yield url


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, store: S3Server, origin: Origin) -> Iterator[Server]:
    env = {
        "STORE_URL": store.endpoint_url,
        "STORE_ACCESS_KEY": store.access_key,
        "STORE_SECRET_KEY": store.secret_key,
        "ORIGIN_URL": origin.url,
    }
    with ExitStack() as stack:
        match request.param:
            case "uvicorn-h11":
                url = stack.enter_context(_uvicorn_h11(env))
            case kind:
                url = stack.enter_context(serve(APP, kind, env=env, cwd=ROOT, ready_path="/stats/none")).url
        yield Server(request.param, url)


class _uvicorn_h11:  # noqa: N801 - used like a function
    """uvicorn with its other parser on asyncio's own loop."""

    def __init__(self, env: dict[str, str]) -> None:
        self._port = free_port()
        options = ("--host", "127.0.0.1", "--port", str(self._port), "--http", "h11", "--loop", "asyncio")
        quiet = ("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "1")
        command = [sys.executable, "-m", "uvicorn", *options, *quiet, APP]
        self._process = running(command, ready=answers(self._port, "/stats/none"), env=env, cwd=ROOT)

    def __enter__(self) -> str:
        self._process.__enter__()
        return f"http://127.0.0.1:{self._port}"

    def __exit__(self, *exc: Any) -> None:
        self._process.__exit__(*exc)
