"""GET /tasks/{task_id}/image as obstore's documentation shows it: its answer in a `StreamingResponse`."""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from obstore.store import S3Store

TIMEOUT = "1h"
"""The client's own, 30 s for a whole download, is too short for large objects, as its documentation says."""


def _client_options() -> dict[str, Any]:
    ca_file = os.environ.get("AWS_CA_BUNDLE")
    certificate = {} if ca_file is None else {"root_certificate": Path(ca_file).read_bytes()}
    return {"allow_http": True, "timeout": TIMEOUT, **certificate}


# Made once; the example makes a store for each request.
store = S3Store(
    "images",
    endpoint=os.environ["AWS_ENDPOINT_URL"],
    region=os.environ["AWS_DEFAULT_REGION"],
    access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
    secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    client_options=_client_options(),  # type: ignore[arg-type]
)
app = FastAPI()


@app.get("/tasks/{task_id}/image")
async def task_image(task_id: int) -> StreamingResponse:
    """Stream the image of a task, in obstore's own chunks of 10 MiB."""
    image = await store.get_async(f"test/{task_id}/image.jpg")
    return StreamingResponse(image, media_type="image/jpeg")
