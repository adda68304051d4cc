"""A FastAPI application that streams images from S3, and bytes from another service.

Run it: AWS_ENDPOINT_URL=... AWS_ACCESS_KEY_ID=... uvicorn examples.two_endpoints:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from sluicegate import ObjectResponse, Source, object_route, open_http, open_store


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Source]]:
    """Open the sources once, with the application."""
    async with (
        open_store(os.environ.get("IMAGES_URL", "s3://images")) as images,
        open_http(os.environ.get("BYTES_URL", "http://httpbin.org")) as service,
    ):
        yield {"images": images, "service": service}


def images(request: Request) -> Source:
    """The store of images; tests put another source in its place."""
    source: Source = request.state.images
    return source


def service(request: Request) -> Source:
    """The service that makes bytes; tests put another source in its place."""
    source: Source = request.state.service
    return source


app = FastAPI(lifespan=lifespan)


@object_route(app, "/tasks/{task_id}/image", media_type="image/jpeg", summary="Download Image")
async def download_image(task_id: int, source: Annotated[Source, Depends(images)]) -> ObjectResponse:
    """The image of a task, as it is stored."""
    return ObjectResponse(source, f"test/{task_id}/image.jpg", media_type="image/jpeg")


@object_route(app, "/tasks/{task_id}/bytes/{size}", summary="Download bytes")
async def download_bytes(
    task_id: int, size: int, source: Annotated[Source, Depends(service)]
) -> ObjectResponse:
    """Bytes of another service, relayed."""
    return ObjectResponse(source, f"stream-bytes/{size}")
