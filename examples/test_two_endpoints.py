"""Unit tests of the example: no network, no mocks, no patching."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from examples.two_endpoints import app, images, service
from sluicegate.errors import Denied, OriginTimeout
from sluicegate.testing import ScriptedSource

IMAGE = bytes(range(256)) * 100


@pytest.fixture
def store() -> ScriptedSource:
    """A store that does what the test tells it."""
    return ScriptedSource({"test/1/image.jpg": IMAGE})


@pytest.fixture
def api() -> ScriptedSource:
    """A service that does what the test tells it."""
    return ScriptedSource({"stream-bytes/1000": b"x" * 1000})


@pytest.fixture
def client(store: ScriptedSource, api: ScriptedSource) -> Iterator[TestClient]:
    """The application on these two, its own lifespan left out."""
    app.dependency_overrides = {images: lambda: store, service: lambda: api}
    yield TestClient(app)
    app.dependency_overrides = {}
    assert store.open_bodies == 0
    assert api.open_bodies == 0


def test_image_is_served_whole(client: TestClient) -> None:
    """A plain GET gives all bytes, typed and tagged."""
    response = client.get("/tasks/1/image")
    assert (response.status_code, response.content) == (200, IMAGE)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["accept-ranges"] == "bytes"


def test_image_is_served_by_range(client: TestClient, store: ScriptedSource) -> None:
    """A player that seeks costs one request for those bytes."""
    response = client.get("/tasks/1/image", headers={"Range": "bytes=100-199"})
    assert (response.status_code, response.content) == (206, IMAGE[100:200])
    assert len(store.requests) == 1


def test_copy_that_is_current_is_not_sent_again(client: TestClient) -> None:
    """A client that has the image is told so."""
    etag = client.get("/tasks/1/image").headers["etag"]
    assert client.get("/tasks/1/image", headers={"If-None-Match": etag}).status_code == 304


def test_head_has_the_fields_of_get(client: TestClient) -> None:
    """HEAD works, which FastAPI's own routes answer with 405."""
    response = client.head("/tasks/1/image")
    assert (response.status_code, response.headers["content-length"]) == (200, str(len(IMAGE)))


def test_store_that_denies_looks_like_no_image(client: TestClient, store: ScriptedSource) -> None:
    """A client cannot learn which images exist."""
    store.fail("test/1/image.jpg", Denied("the keys of the store may not read this"))
    assert client.get("/tasks/1/image").status_code == client.get("/tasks/2/image").status_code == 404


def test_bytes_are_relayed(client: TestClient) -> None:
    """The service's bytes arrive as they are."""
    assert client.get("/tasks/1/bytes/1000").content == b"x" * 1000


def test_service_that_stalls_is_a_504(client: TestClient, api: ScriptedSource) -> None:
    """A failure before the first byte is a status, with problem details."""
    api.fail("stream-bytes/1000", OriginTimeout("no answer in 60 s"))
    response = client.get("/tasks/1/bytes/1000")
    assert (response.status_code, response.headers["content-type"]) == (504, "application/problem+json")


def test_document_lists_what_the_routes_answer() -> None:
    """The OpenAPI document knows every status, and GET once."""
    operations = app.openapi()["paths"]["/tasks/{task_id}/image"]
    assert list(operations) == ["get"]
    assert {"200", "206", "304", "404", "412", "416", "502", "503", "504"} <= set(
        operations["get"]["responses"]
    )
