"""GET /tasks/{task_id}/image from S3 the asynchronous way: an aiobotocore client for each request."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from aiobotocore.session import get_session
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse

from .aiohttp_endpoint import router
from .settings import s3_settings

app = FastAPI()
app.include_router(router)


async def s3_client() -> AsyncIterator[Any]:
    """Yield a client that FastAPI closes after the last byte of the response was sent."""
    async with get_session().create_client("s3", **s3_settings()) as client:
        yield client


@app.get("/tasks/{task_id}/image")
async def task_image(task_id: int, s3: Annotated[Any, Depends(s3_client)]) -> StreamingResponse:
    """Stream the image of a task."""
    image = await s3.get_object(Bucket="images", Key=f"test/{task_id}/image.jpg")
    return StreamingResponse(image["Body"], media_type="image/jpeg")
