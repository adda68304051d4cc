"""The application of the files benchmark: an object of 20 KiB, and the same bytes as a constant.

`python -m bench.files_app PORT FOLDER` serves `/file`, `/memory` and `/constant` under the gateway's server.
"""

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import obstore
from starlette.types import Receive, Scope, Send

from sluicegate import ObjectResponse, PartedSource, Source, open_store
from sluicegate.gateway.draining import DrainingServer
from sluicegate.gateway.installation import settings
from sluicegate.gateway.listening import listen
from sluicegate.sources.object_store import ObjectStore

from .local_files import SMALL, SMALL_SIZE

DRAIN_SECONDS = 1.0

_FIELDS = [
    # What an object of a store is answered with.
    (b"content-length", str(SMALL_SIZE).encode()),
    (b"content-type", b"application/octet-stream"),
    (b"accept-ranges", b"bytes"),
    (b"etag", b'"272746-660c72dce6950-5000"'),
    (b"last-modified", b"Sat, 21 Nov 2026 10:54:03 GMT"),
    (b"x-request-id", b"a4f928809521140c"),
]


class FilesApp:
    """An ASGI application without any framework, so that nothing but the answers costs anything."""

    def __init__(self, folder: Path) -> None:
        self._content = (folder / SMALL).read_bytes()
        self._sources: dict[str, Source] = {
            "/file": open_store(folder.resolve().as_uri()),
            "/memory": open_store("memory://"),
        }

    def drain(self) -> None:
        """Be told that the server ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["path"] == "/constant":
            await send({"type": "http.response.start", "status": 200, "headers": _FIELDS})
            await send({"type": "http.response.body", "body": self._content})
        else:
            await ObjectResponse(self._sources[scope["path"]], SMALL)(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            for source in self._sources.values():
                await stack.enter_async_context(source)
            await _put(self._sources["/memory"], self._content)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _put(source: Source, content: bytes) -> None:
    """Put the object into an open `memory://` store."""
    assert isinstance(source, PartedSource)
    assert isinstance(source.source, ObjectStore)
    attributes = {"Content-Type": "application/octet-stream"}
    await obstore.put_async(source.source.client, SMALL, content, attributes=attributes)


def main(port: int, folder: Path) -> None:
    """Serve until a signal comes."""
    app = FilesApp(folder)
    with listen("127.0.0.1", port) as bound:
        DrainingServer(app, settings(app, DRAIN_SECONDS)).run([bound])  # type: ignore[arg-type]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
