"""GET /tasks/{task_id}/image as one writes it with care: one aiobotocore client for all, 64 KiB chunks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from ..naive.settings import s3_settings

CHUNK_SIZE = 64 * 1024
CONNECTIONS = 100
"""The client's own limit is 10: more requests at once would wait for each other."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the client while the application runs."""
    config = AioConfig(max_pool_connections=CONNECTIONS)
    async with get_session().create_client("s3", config=config, **s3_settings()) as client:
        app.state.s3 = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/tasks/{task_id}/image")
async def task_image(task_id: int, request: Request) -> StreamingResponse:
    """Stream the image of a task."""
    image = await request.app.state.s3.get_object(Bucket="images", Key=f"test/{task_id}/image.jpg")
    headers = {"content-length": str(image["ContentLength"])}
    return StreamingResponse(_chunks(image["Body"]), media_type="image/jpeg", headers=headers)


async def _chunks(body: Any) -> AsyncIterator[bytes]:
    async with body:
        async for chunk in body.iter_chunks(CHUNK_SIZE):
            yield chunk
