"""The application of the iterators benchmark: one content, cut into chunks of the size in the path."""

from collections.abc import Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from sluicegate import StreamResponse

CONTENT = (bytes(range(256)) * 40_000)[:10_000_000]


def chunks(size: int) -> Iterator[bytes]:
    """Yield the content in chunks of `size` bytes, the last one shorter."""
    for start in range(0, len(CONTENT), size):
        yield CONTENT[start : start + size]


async def through_sluicegate(request: Request) -> StreamResponse:
    """Answer with a synchronous iterator in a `StreamResponse` of sluicegate."""
    return StreamResponse(chunks(request.path_params["size"]))


async def through_starlette(request: Request) -> StreamingResponse:
    """Answer with a synchronous iterator in a `StreamingResponse` of Starlette."""
    return StreamingResponse(chunks(request.path_params["size"]))


def chunked_app() -> Starlette:
    """Make the application."""
    return Starlette(
        routes=[
            Route("/sluicegate/{size:int}", through_sluicegate),
            Route("/starlette/{size:int}", through_starlette),
        ]
    )
