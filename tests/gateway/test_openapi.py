"""The OpenAPI document: valid, complete, and the same table that FastAPI users get."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from sluicegate.delivery.openapi import object_responses
from sluicegate.gateway.config import parse_config
from sluicegate.gateway.openapi import openapi_document

from .config_texts import ENVIRON, EXAMPLE

STATUSES = [200, 206, 304, 404, 412, 416, 502, 503, 504]


def document(text: str) -> Any:
    built: Mapping[str, Any] = openapi_document(parse_config(text, ENVIRON), "1.2.3")
    validate(built)
    return built


def routes(*paths: str) -> str:
    """Return a file with a route to an upstream for each path."""
    return "\n".join(f'[[routes]]\npath = "{path}"\nupstream = "http://h"' for path in paths)


def test_every_route_is_documented_for_get_and_head() -> None:
    built = document(EXAMPLE)
    assert (built["openapi"], built["info"]) == ("3.0.3", {"title": "Sluicegate", "version": "1.2.3"})
    summaries = {
        path: (item["get"]["summary"], item["head"]["summary"]) for path, item in built["paths"].items()
    }
    assert summaries == {
        "/tasks/{task_id}/image": ("Download Image", "Download Image"),
        "/tasks/{task_id}/bytes/{size}": ("Download bytes", "Download bytes"),
        "/files/{key}": ("/files/{key}", "/files/{key}"),
    }


@pytest.mark.parametrize(
    ("kind", "schema", "description"),
    [
        pytest.param("int", {"type": "integer"}, "An integer of at most 19 digits.", id="int"),
        pytest.param(
            "uuid",
            {"type": "string", "format": "uuid"},
            "A UUID such as 123e4567-e89b-12d3-a456-426614174000.",
            id="uuid",
        ),
        pytest.param("str", {"type": "string", "minLength": 1}, "One non-empty path segment.", id="str"),
        pytest.param(
            "path",
            {"type": "string", "minLength": 1},
            "The rest of the path, at least one character.",
            id="path",
        ),
    ],
)
def test_path_parameter_has_the_schema_of_its_type(
    kind: str, schema: dict[str, object], description: str
) -> None:
    item = document(routes(f"/a/{{x:{kind}}}"))["paths"]["/a/{x}"]
    assert item["parameters"] == [
        {"name": "x", "in": "path", "required": True, "description": description, "schema": schema}
    ]


def test_get_documents_content_fields_and_failures() -> None:
    operation = document(EXAMPLE)["paths"]["/tasks/{task_id}/image"]["get"]
    described = {
        status: (sorted(response.get("headers", {})), sorted(response.get("content", {})))
        for status, response in operation["responses"].items()
    }
    problem = ["application/problem+json"]
    content_fields = ["Accept-Ranges", "Content-Length", "ETag", "Last-Modified"]
    named = ["X-Request-Id"]
    assert described == {
        "200": (content_fields + named, ["image/jpeg"]),
        "206": (sorted(["Content-Range", *content_fields]) + named, ["image/jpeg", "multipart/byteranges"]),
        "304": (["ETag", "Last-Modified", *named], []),
        "400": (named, problem),
        "404": (named, problem),
        "412": (named, problem),
        "416": (["Accept-Ranges", "Content-Range", *named], problem),
        "422": (named, problem),
        "502": (named, problem),
        "503": (["Retry-After", *named], problem),
        "504": (named, problem),
    }
    assert operation["responses"]["200"]["content"]["image/jpeg"] == {
        "schema": {"type": "string", "format": "binary"}
    }
    assert operation["responses"]["404"]["content"]["application/problem+json"] == {
        "schema": {"$ref": "#/components/schemas/Problem"}
    }


def test_get_documents_range_and_conditions() -> None:
    item = document(EXAMPLE)["paths"]["/files/{key}"]
    names = {
        method: [(parameter["name"], parameter["in"]) for parameter in item[method]["parameters"]]
        for method in ("get", "head")
    }
    assert names == {
        "get": [("Range", "header"), ("If-Range", "header"), ("If-None-Match", "header")],
        "head": [("If-None-Match", "header")],
    }


def test_head_documents_no_content_and_no_ranges() -> None:
    responses = document(EXAMPLE)["paths"]["/tasks/{task_id}/image"]["head"]["responses"]
    assert list(responses) == ["200", "304", "400", "404", "412", "422", "502", "503", "504"]
    assert not any("content" in response for response in responses.values())


def test_route_without_a_typed_parameter_has_no_bad_parameter() -> None:
    assert "422" not in document(EXAMPLE)["paths"]["/files/{key}"]["get"]["responses"]


def test_denied_status_is_documented_where_it_is_set() -> None:
    text = routes("/a") + "\n[gateway]\ndenied_status = 403"
    assert "403" in document(text)["paths"]["/a"]["get"]["responses"]
    assert "403" not in document(routes("/a"))["paths"]["/a"]["get"]["responses"]


def test_routes_that_openapi_cannot_tell_apart_share_one_path() -> None:
    text = """
        [[routes]]
        path = "/a/{name}"
        upstream = "http://h"
        media_type = "text/plain"
        summary = "By name"
        description = "First."

        [[routes]]
        path = "/a/{id:int}"
        upstream = "http://h"
        media_type = "image/png"
        summary = "By number"
        description = "Second."
    """
    paths = document(text)["paths"]
    assert list(paths) == ["/a/{id}"]
    (parameter,) = paths["/a/{id}"]["parameters"]
    assert parameter["schema"] == {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]}
    operation = paths["/a/{id}"]["get"]
    assert (operation["summary"], operation["description"]) == ("By number / By name", "Second.\n\nFirst.")
    assert list(operation["responses"]["200"]["content"]) == ["image/png", "text/plain"]


def test_literal_segments_are_percent_encoded() -> None:
    assert list(document(routes("/größe/a b/{x}"))["paths"]) == ["/gr%C3%B6%C3%9Fe/a%20b/{x}"]


def test_secrets_of_the_configuration_are_not_documented() -> None:
    text = '[[routes]]\npath = "/a"\nupstream = "http://h/?k=very-secret"\n'
    assert "very-secret" not in str(document(text + 'request_headers = { X-Key = "very-secret" }'))


def test_table_of_responses_fits_fastapi() -> None:
    app = FastAPI()

    @app.get("/tasks/{task_id}/image", responses=object_responses("image/jpeg"))
    async def image(task_id: int) -> None: ...

    schema = app.openapi()
    validate(schema)
    responses = schema["paths"]["/tasks/{task_id}/image"]["get"]["responses"]
    assert sorted(responses) == sorted(map(str, [*STATUSES, 422]))
    assert responses["206"] == object_responses("image/jpeg")[206]
    assert "image/jpeg" in responses["200"]["content"]


def test_object_of_any_type_is_documented_as_any_type() -> None:
    assert list(object_responses()) == STATUSES
    assert object_responses()[200]["content"] == {"*/*": {"schema": {"type": "string", "format": "binary"}}}


def test_table_of_responses_is_made_anew() -> None:
    object_responses()[200].clear()
    assert object_responses()[200]
