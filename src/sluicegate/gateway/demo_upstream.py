"""A small service for the demo to relay: it streams as many bytes as its path asks for."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sluicegate import StreamResponse

from .server import listen, url_of

MAX_BYTES: Final = 100_000_000
PIECE: Final = 64 * 1024
STOP_SECONDS: Final = 5.0


async def stream_bytes(request: Request) -> Response:
    """Pseudo-random bytes, the same for the same size, without a Content-Length."""
    size = int(request.path_params["size"])
    if size > MAX_BYTES:
        return Response(f"at most {MAX_BYTES} bytes", status_code=400, media_type="text/plain")
    return StreamResponse(_noise(size), media_type="application/octet-stream")


def _noise(size: int) -> Iterator[bytes]:
    noise = random.Random(size)  # noqa: S311 - not a secret
    for start in range(0, size, PIECE):
        yield noise.randbytes(min(PIECE, size - start))


@contextmanager
def upstream() -> Iterator[str]:
    """The service on a free port of loopback, in a thread of its own; yields its base URL."""
    app = Starlette(routes=[Route("/stream-bytes/{size:int}", stream_bytes)])
    settings = uvicorn.Config(app, access_log=False, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(settings)
    with listen("127.0.0.1", 0) as bound:
        # Not server.run, which takes over the signals of the process.
        thread = threading.Thread(target=asyncio.run, args=(server.serve([bound]),), daemon=True)
        thread.start()
        try:
            yield url_of(bound)
        finally:
            server.should_exit = True
            thread.join(STOP_SECONDS)
