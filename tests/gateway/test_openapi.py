"""The OpenAPI document: valid, complete, and the same table that FastAPI users get."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from sluicegate.access.passwords import hash_password
from sluicegate.delivery.openapi import object_responses
from sluicegate.gateway.config import parse_config
from sluicegate.gateway.config.values import UpstreamConfig
from sluicegate.gateway.openapi import openapi_document
from sluicegate.gateway.routes import BadPath, Match, Router

from .config_texts import ENVIRON, EXAMPLE

STATUSES = [200, 206, 304, 404, 412, 416, 502, 503, 504]
UNREAD = ["408", "414", "431"]
"""What is said to requests that are not read to their end."""

CONDITIONS = ["If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"]
LARGEST = 9_999_999_999_999_999_999

PATH_VALUES = [
    *("a", "...", ".a", "a.", "日.jpg", "a+b (1)'!*.jpg", "%2F", "a\\b", "..a\\b.."),
    *(".", "..", "a\\..", "..\\a", "a\\.\\b", "a/b", "/", "a//b", "a/../b", "./a", "a/.", "a\\../b"),
    *("\x00", "a\n", "\n", "a\x1fb", "\x7f", "..\n"),
]

SECRET = "0123456789-0123456789-0123456789-0123456789"
AUTHS = {
    "links": f'type = "signed"\nkeys = {{ k1 = "{SECRET}" }}\ncookie_for_prefix = true',
    "login": 'type = "jwt"\nissuer = "https://login"\naudience = "a"\nalgorithms = ["RS256"]\n'
    'cookie = "token"',
    "scoped": 'type = "jwt"\nissuer = "https://login"\naudience = "a"\nalgorithms = ["RS256"]\n'
    'required_claims = { scope = "read" }',
    "partners": f'type = "api_key"\nkeys = {{ acme = "sha256:{"0" * 64}" }}\nparameter = "key"',
    "own": 'type = "forward"\nurl = "http://127.0.0.1:9/very-secret"',
    "staff": f'type = "basic"\nusers = {{ alice = "{hash_password("correct horse")}" }}',
}


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
        pytest.param(
            "int",
            {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST},
            "An integer of at most 19 digits.",
            id="int",
        ),
        pytest.param(
            "uuid",
            {"type": "string", "format": "uuid"},
            "A UUID such as 123e4567-e89b-12d3-a456-426614174000.",
            id="uuid",
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


@pytest.mark.parametrize("value", PATH_VALUES)
@pytest.mark.parametrize("kind", ["str", "path"])
def test_schema_of_a_path_parameter_allows_what_is_routed(kind: str, value: str) -> None:
    text = routes(f"/a/{{x:{kind}}}").replace("http://h", "http://h/{x}")
    (parameter,) = document(text)["paths"]["/a/{x}"]["parameters"]
    (route,) = parse_config(text, {}).routes
    assert isinstance(route.target, UpstreamConfig)
    try:
        routed = Router([route.path]).match(b"/a/" + quote(value, safe="").encode())
        is_served = isinstance(routed, Match) and bool(route.target.template.render(routed.params))
    except BadPath:
        is_served = False
    assert (re.fullmatch(parameter["schema"]["pattern"], value) is not None) == is_served


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
        "408": ([], []),
        "412": (named, problem),
        "414": ([], []),
        "416": (["Accept-Ranges", "Content-Range", *named], problem),
        "422": (named, problem),
        "431": ([], []),
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
        "get": [(name, "header") for name in ("Range", "If-Range", *CONDITIONS)],
        "head": [(name, "header") for name in CONDITIONS],
    }


def test_head_documents_no_content_and_no_ranges() -> None:
    responses = document(EXAMPLE)["paths"]["/tasks/{task_id}/image"]["head"]["responses"]
    own = ["200", "304", "400", "404", "412", "422", "502", "503", "504"]
    assert list(responses) == sorted([*own, *UNREAD])
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
    assert [schema["type"] for schema in parameter["schema"]["anyOf"]] == ["integer", "string"]
    operation = paths["/a/{id}"]["get"]
    assert (operation["summary"], operation["description"]) == ("By number / By name", "Second.\n\nFirst.")
    assert list(operation["responses"]["200"]["content"]) == ["image/png", "text/plain"]


def test_literal_segments_are_percent_encoded() -> None:
    assert list(document(routes("/größe/a b/{x}"))["paths"]) == ["/gr%C3%B6%C3%9Fe/a%20b/{x}"]


def test_secrets_of_the_configuration_are_not_documented() -> None:
    text = '[[routes]]\npath = "/a"\nupstream = "http://h/?k=very-secret"\n'
    assert "very-secret" not in str(document(text + 'request_headers = { X-Key = "very-secret" }'))


def guarded(*auth: str, more: str = "") -> Any:
    """Return the document of a route `/a` to an object in memory that these ways to show who one is guard."""
    tables = "\n".join(f"[auth.{name}]\n{AUTHS[name]}" for name in auth)
    names = list(auth) or "public"
    route = f'[[routes]]\npath = "/a"\nobject = "s:a"\nauth = {names!r}\n{more}'
    return document(f'[stores.s]\nurl = "memory://"\n{tables}\n{route}')


@pytest.mark.parametrize(
    ("auth", "places"),
    [
        pytest.param("links", ["apiKey query link", "apiKey cookie sluicegate_link"], id="signed"),
        pytest.param("login", ["http bearer", "apiKey cookie token"], id="jwt"),
        pytest.param("partners", ["apiKey header x-api-key", "apiKey query key"], id="api-key"),
        pytest.param("staff", ["http basic"], id="basic"),
        pytest.param("own", ["apiKey header authorization", "apiKey header cookie"], id="forward"),
    ],
)
def test_way_to_show_who_one_is_has_a_scheme_for_each_place(auth: str, places: list[str]) -> None:
    built = guarded(auth)
    schemes = built["components"]["securitySchemes"]
    words = {
        name: " ".join(scheme[key] for key in ("type", "in", "name", "scheme") if key in scheme)
        for name, scheme in schemes.items()
    }
    assert words == dict(zip([auth, f"{auth}.2"], places, strict=False))
    offered = [name for requirement in built["paths"]["/a"]["get"]["security"] for name in requirement]
    assert offered == list(schemes)
    assert "very-secret" not in str(built)
    assert SECRET not in str(built)


@pytest.mark.parametrize(
    ("auth", "statuses"),
    [
        pytest.param((), set(), id="public"),
        pytest.param(("links",), {"403", "503"}, id="signed"),
        pytest.param(("login",), {"401", "503"}, id="jwt"),
        pytest.param(("scoped",), {"401", "403", "503"}, id="jwt-with-claims"),
        pytest.param(("partners",), {"401"}, id="api-key"),
        pytest.param(("staff",), {"401", "503"}, id="basic"),
        pytest.param(("own",), {"401", "403", "503"}, id="forward"),
        pytest.param(("links", "partners"), {"401", "403", "503"}, id="one-of-two"),
    ],
)
def test_refusals_are_documented_where_they_can_come(auth: tuple[str, ...], statuses: set[str]) -> None:
    get = guarded(*auth)["paths"]["/a"]["get"]
    assert get["responses"].keys() & {"401", "403", "429", "503"} == statuses
    assert ("security" in get) == bool(auth)
    if "401" in statuses:
        assert "WWW-Authenticate" in get["responses"]["401"]["headers"]


def test_service_that_is_asked_may_grant_who_shows_nothing() -> None:
    assert {} in guarded("own")["paths"]["/a"]["get"]["security"]
    assert {} not in guarded("links", "partners")["paths"]["/a"]["get"]["security"]


def test_cookie_of_a_prefix_is_documented() -> None:
    by_status = guarded("links")["paths"]["/a"]["get"]["responses"]
    assert [status for status, one in by_status.items() if "Set-Cookie" in one.get("headers", {})] == [
        "200",
        "206",
    ]


@pytest.mark.parametrize(
    ("limits", "statuses"),
    [
        pytest.param("", set(), id="none"),
        pytest.param("transfers = 3", {"503"}, id="transfers"),
        pytest.param("client_transfers = 3", {"429"}, id="transfers-of-a-client"),
        pytest.param('requests = "3/second"', {"429"}, id="rate"),
        pytest.param('client_requests = "3/second"', {"429"}, id="rate-of-a-client"),
        pytest.param("client_bytes_per_second = 3", set(), id="bytes"),
    ],
)
def test_limits_are_documented_where_they_can_refuse(limits: str, statuses: set[str]) -> None:
    by_route = guarded(more=f"limits = {{ {limits} }}")
    by_gateway = document(
        f'[limits]\n{limits}\n[stores.s]\nurl = "memory://"\n[[routes]]\npath = "/a"\nobject = "s:a"'
    )
    for built in (by_route, by_gateway):
        responses = built["paths"]["/a"]["get"]["responses"]
        assert responses.keys() & {"429", "503"} == statuses
        assert ("RateLimit" in responses["200"]["headers"]) == ("requests" in limits)
        assert all("Retry-After" in responses[status]["headers"] for status in statuses)


def test_counts_that_may_be_away_are_documented_where_they_deny() -> None:
    text = """
        [limits]
        storage = "redis://h"
        on_failure = "POLICY"
        requests = "3/second"
        [stores.s]
        url = "memory://"
        [[routes]]
        path = "/a"
        object = "s:a"
    """
    for policy, is_there in (("deny", True), ("allow", False)):
        responses = document(text.replace("POLICY", policy))["paths"]["/a"]["get"]["responses"]
        assert ("503" in responses) == is_there


@pytest.mark.parametrize(
    ("methods", "operations"),
    [
        pytest.param(["GET"], {"get"}, id="get"),
        pytest.param(["HEAD"], {"head"}, id="head"),
        pytest.param(["GET", "HEAD"], {"get", "head"}, id="both"),
    ],
)
def test_operations_are_the_methods_of_the_route(methods: list[str], operations: set[str]) -> None:
    item = guarded(more=f"methods = {methods!r}")["paths"]["/a"]
    assert item.keys() - {"parameters"} == operations


def test_method_that_only_one_of_two_routes_answers_may_be_refused() -> None:
    text = """
        [[routes]]
        path = "/a/{name}"
        upstream = "http://h"
        summary = "By name"
        methods = ["GET"]

        [[routes]]
        path = "/a/{id:int}"
        upstream = "http://h"
        summary = "By number"
    """
    item = document(text)["paths"]["/a/{id}"]
    assert (item["get"]["summary"], item["head"]["summary"]) == ("By number / By name", "By number")
    assert "405" not in item["get"]["responses"]
    assert "Allow" in item["head"]["responses"]["405"]["headers"]


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
