"""The contract, held by the HTTP source: on nginx, and on an application that keeps every key as it is."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
import pytest_asyncio

from sluicegate import HttpOptions, ObjectResponse
from sluicegate.sources.opening import http_source
from sluicegate.testing import ScriptedSource, SourceContract, Subject
from tests.conftest import started
from tests.servers.asgi import serve_in_thread
from tests.servers.nginx import nginx

pytestmark = pytest.mark.asyncio(loop_scope="class")

OPTIONS = HttpOptions(max_connections=8)


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def nginx_subject(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Subject]:
    folder = tmp_path_factory.mktemp("nginx")

    async def put(key: str, content: bytes, content_type: str = "") -> None:
        await asyncio.to_thread(_write, folder / key, content)

    with started(nginx(folder)) as server:
        async with http_source(server.url, OPTIONS) as source:
            yield Subject(source, put)


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def application_subject() -> AsyncIterator[Subject]:
    """Sluicegate behind Sluicegate: the HTTP source asks an application that answers for a scripted one."""
    origin = ScriptedSource()

    async def put(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
        origin.put(key, content, content_type=content_type)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        key = unquote(scope["raw_path"].decode("ascii").removeprefix("/api/"))
        await ObjectResponse(origin, key)(scope, receive, send)

    with serve_in_thread(application) as url:
        async with http_source(f"{url}/api", OPTIONS) as source:
            yield Subject(source, put)
    assert origin.open_bodies == 0


class TestNginx(SourceContract):
    cannot_hold: ClassVar = {
        "trailing-slash": "a file system has 'a/b' as a file, which cannot be the folder 'a/b/' too"
    }
    departures: ClassVar = {
        "test_folder_is_no_object": "nginx redirects a folder's name to one with a slash, and denies that",
        **{
            f"test_awkward_key[{name}]": "nginx merges slashes: it serves 'a/b' for 'a//b'"
            for name in ("empty-segment", "empty-segments", "leading-slash")
        },
    }

    @pytest.fixture
    def subject(self, nginx_subject: Subject) -> Subject:
        return nginx_subject


class TestApplication(SourceContract):
    @pytest.fixture
    def subject(self, application_subject: Subject) -> Subject:
        return application_subject


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
