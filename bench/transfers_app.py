"""The application of the transfer benchmarks: a store as it is and in parts, through the client it names."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sluicegate import ObjectResponse, Source, StoreOptions, TransferOptions, open_http, open_store
from sluicegate.flow.options import DEFAULT_TRANSFERS
from sluicegate.sources.opening import http_source, store_source

CLIENTS = ("obstore", "aiobotocore", "botocore", "aiohttp")


def _sources(client: str) -> dict[str, Source]:
    """The store at `BENCH_STORE` (bucket `images`) through `client`, without parts and with them."""
    url = os.environ["BENCH_STORE"]
    part_size = int(os.environ.get("BENCH_PART_SIZE", DEFAULT_TRANSFERS.part_size))
    transfers = TransferOptions(part_size=part_size)
    if client == "aiohttp":
        base = f"{url}/images"
        return {"plain": http_source(base), "parts": open_http(base, transfers=transfers)}
    options = StoreOptions(
        endpoint_url=url, region="us-east-1", access_key_id="unchecked", secret_access_key="unchecked"
    )
    return {
        "plain": store_source("s3://images", options, client=client),  # type: ignore[arg-type]
        "parts": open_store("s3://images", options, client=client, transfers=transfers),  # type: ignore[arg-type]
    }


def transfers_app() -> Starlette:
    """Make the application: `/plain/KEY` and `/parts/KEY` through the client `BENCH_CLIENT`, and `/held`."""
    sources = _sources(os.environ.get("BENCH_CLIENT", "obstore"))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for source in sources.values():
                await stack.enter_async_context(source)
            yield

    async def serve_object(request: Request) -> ObjectResponse:
        return ObjectResponse(sources[request.path_params["how"]], request.path_params["key"])

    return Starlette(
        lifespan=lifespan, routes=[Route("/held", held), Route("/{how}/{key:path}", serve_object)]
    )


async def held(_: Request) -> JSONResponse:
    """Tell what the process holds: tasks of this loop, threads, and open files and sockets."""
    return JSONResponse(
        {
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "files": len(os.listdir("/proc/self/fd")),
        }
    )
