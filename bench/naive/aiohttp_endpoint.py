"""GET /tasks/{task_id}/bytes/{size} from an HTTP upstream: aiohttp, with an exit stack as a dependency."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

import aiohttp
from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from .settings import upstream_url

router = APIRouter()


async def exit_stack() -> AsyncIterator[AsyncExitStack]:
    """Yield a stack that FastAPI closes after the last byte of the response was sent."""
    async with AsyncExitStack() as stack:
        yield stack


@router.get("/tasks/{task_id}/bytes/{size}")
async def task_bytes(
    task_id: int, size: int, stack: Annotated[AsyncExitStack, Depends(exit_stack)]
) -> StreamingResponse:
    """Stream `size` bytes from the upstream."""
    session = await stack.enter_async_context(aiohttp.ClientSession(upstream_url()))
    answer = await stack.enter_async_context(session.get(f"/stream-bytes/{size}", params={"seed": task_id}))
    return StreamingResponse(answer.content.iter_chunked(1024), media_type="application/octet-stream")
