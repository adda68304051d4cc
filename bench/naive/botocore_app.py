"""GET /tasks/{task_id}/image from S3 the synchronous way: a botocore client for each request."""

from collections.abc import Iterator
from typing import Annotated, Any

from botocore.session import get_session
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse

from .aiohttp_endpoint import router
from .settings import s3_settings

app = FastAPI()
app.include_router(router)


def s3_client() -> Iterator[Any]:
    """Yield a client that is closed after the last byte of the response was sent."""
    client = get_session().create_client("s3", **s3_settings())
    try:
        yield client
    finally:
        client.close()


@app.get("/tasks/{task_id}/image")
def task_image(task_id: int, s3: Annotated[Any, Depends(s3_client)]) -> StreamingResponse:
    """Stream the image of a task."""
    image = s3.get_object(Bucket="images", Key=f"test/{task_id}/image.jpg")
    return StreamingResponse(image["Body"], media_type="image/jpeg")
