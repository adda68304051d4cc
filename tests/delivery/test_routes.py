"""Ways to put an object behind an address: FastAPI, Starlette, plain ASGI; and what a route may say of it."""

import json
import warnings
from pathlib import PurePath
from typing import Annotated, Any
from urllib.parse import quote

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path

from sluicegate import ObjectResponse, StreamResponse, TransferRecord, object_route
from sluicegate.errors import BadFieldValue
from sluicegate.http.fields import GUARDED
from sluicegate.sources.options import BadOptions

from .apps import TEXT
from .conftest import Server
from .fakes import CHUNK, Exchange, ScriptedSource
from .raw_client import fetch

CONTENT = b"some text\n"
OBJECT_STATUSES = {"200", "206", "304", "404", "412", "416", "502", "503", "504"}


async def _put(server: Server, key: str, content: bytes = CONTENT) -> None:
    answer = await fetch(server.url, f"/memory/{quote(key)}", "PUT", body=content)
    assert answer.status == 200


WAYS = ("/fastapi/memory/text.txt", "/starlette/memory/text.txt", "/asgi/memory/text.txt", "/alone/")


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_answers_get_head_ranges_and_options(server: Server, way: str) -> None:
    await _put(server, TEXT)
    get = await server.fetch(way)
    assert (get.status, get.content, get.get("content-type")) == (200, CONTENT, "text/plain")
    head = await server.fetch(way, "HEAD")
    assert (head.status, head.content, head.get("content-length")) == (200, b"", str(len(CONTENT)))
    part = await server.fetch(way, range="bytes=5-8")
    assert (part.status, part.content) == (206, b"text")
    options = await server.fetch(way, "OPTIONS")
    assert (options.status, options.content) == (204, b"")
    post = await server.fetch(way, "POST")
    assert post.status == 405
    for answer in (options, post):
        allowed = [method.strip() for method in (answer.get("allow") or "").split(",")]
        assert sorted(allowed) == ["GET", "HEAD", "OPTIONS"]


async def test_route_says_more_of_its_answers(server: Server) -> None:
    await _put(server, TEXT)
    path = f"/decorated/{TEXT}?media_type=image/png"
    answer = await server.fetch(path)
    assert {
        name: answer.get(name) for name in ("content-type", "cache-control", "x-own", "content-language")
    } == {
        "content-type": "image/png",
        "cache-control": "private, max-age=5",
        "x-own": "yes",
        "content-language": "de",
    }
    assert answer.get("set-cookie") == "seen=1; Path=/; SameSite=lax"
    etag = answer.get("etag") or ""
    again = await server.fetch(path, if_none_match=etag)
    assert (again.status, again.get("cache-control"), again.get("content-type")) == (
        304,
        "private, max-age=5",
        None,
    )


NAMES = {
    "ascii": ("a b.txt", 'attachment; filename="a b.txt"'),
    "cjk": (
        "日本語.jpg",
        "attachment; filename=\"___.jpg\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%E8%AA%9E.jpg",
    ),
    "quotes": ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
    "emoji": ("🎉.png", "attachment; filename=\"_.png\"; filename*=UTF-8''%F0%9F%8E%89.png"),
}


@pytest.mark.parametrize("name", NAMES)
async def test_file_name_is_sent_whatever_its_letters_are(server: Server, name: str) -> None:
    await _put(server, TEXT)
    filename, expected = NAMES[name]
    answer = await server.fetch(f"/decorated/{TEXT}?filename={quote(filename)}")
    assert (answer.status, answer.get("content-disposition")) == (200, expected)


async def test_file_name_comes_from_the_key_where_only_the_disposition_is_given(server: Server) -> None:
    await _put(server, "folder/日本.txt")
    answer = await server.fetch(f"/decorated/{quote('folder/日本.txt')}?disposition=inline")
    expected = "inline; filename=\"__.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt"
    assert answer.get("content-disposition") == expected


async def test_type_among_the_headers_is_not_that_of_several_ranges(server: Server) -> None:
    await _put(server, TEXT)
    whole = await server.fetch(f"/typed/{TEXT}")
    assert whole.get("content-type") == "text/x-own"
    several = await server.fetch(f"/typed/{TEXT}", range="bytes=0-1,5-6")
    assert (several.get("content-type") or "").startswith("multipart/byteranges; boundary=")
    assert several.content.count(b"Content-Type: text/x-own\r\n") == 2
    unchanged = await server.fetch(f"/typed/{TEXT}", if_none_match=whole.get("etag") or "")
    assert (unchanged.status, unchanged.get("content-type")) == (304, None)


REFUSED: dict[str, dict[str, Any]] = {
    "line break in a file name": {"filename": "a\r\nSet-Cookie: b"},
    "nul in a file name": {"filename": "a\0"},
    "line break in a media type": {"media_type": "text/plain\r\nSet-Cookie: b"},
    "line break in a cache control": {"cache_control": "no-store\nSet-Cookie: b"},
    "line break in a header": {"headers": {"X-Name": "a\nb"}},
    "another disposition": {"disposition": "form-data"},
    "a length": {"headers": {"Content-Length": "5"}},
    "a framing": {"headers": {"Transfer-Encoding": "chunked"}},
    "a tag that no condition is held against": {"headers": {"ETag": '"v1"'}},
    "a date that no condition is held against": {
        "headers": {"last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    },
    "ranges that there are": {"headers": {"Accept-Ranges": "none"}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_break_the_header_is_refused(name: str) -> None:
    with pytest.raises(BadFieldValue):
        ObjectResponse(ScriptedSource(), "key", **REFUSED[name])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"status_code": 201}, "status_code is 200"),
        ({"denied_status": 401}, "denied_status is 404 or 403, got 401"),
        ({"denied_status": "403"}, "denied_status is 404 or 403, got '403'"),
        ({"active_content": "Trust"}, "active_content is 'sandbox', 'attachment' or 'trust', got 'Trust'"),
    ],
)
def test_setting_that_is_none_is_refused_when_the_response_is_made(
    arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadOptions, match=says):
        ObjectResponse(ScriptedSource(), "key", **arguments)


@pytest.mark.parametrize("key", [None, b"key", 7, PurePath("key")])
def test_key_that_is_no_text_is_refused_when_the_response_is_made(key: Any) -> None:
    with pytest.raises(TypeError, match="must be text"):
        ObjectResponse(ScriptedSource(), key)
    with pytest.raises(TypeError, match="must be text"):
        ObjectResponse(ScriptedSource(), "key").of(key)


@pytest.mark.parametrize("source", ["s3://bucket", None])
def test_source_that_is_none_is_refused_when_the_response_is_made(source: Any) -> None:
    with pytest.raises(TypeError, match="read from a source, such as open_store"):
        ObjectResponse(source, "key")


def test_observer_that_nobody_would_await_is_refused() -> None:
    async def observe(record: TransferRecord) -> None:
        raise AssertionError(record)

    with pytest.raises(TypeError, match="observe is an ordinary function"):
        ObjectResponse(ScriptedSource(), "key", observe=observe)  # type: ignore[arg-type]


async def test_answer_to_somebody_who_was_let_in_is_for_no_shared_cache() -> None:
    responses: list[Any] = [
        ObjectResponse(ScriptedSource((CHUNK,), len(CHUNK)), "key"),
        ObjectResponse(ScriptedSource((CHUNK,), len(CHUNK)), "key", headers={"X-Own": "1"}),
        StreamResponse(CHUNK),
    ]
    for response in responses:
        exchange = await Exchange(extra_scope={GUARDED: True}).call(response)
        assert exchange.headers["cache-control"] == "private, no-cache"


async def test_word_on_caches_counts_for_those_who_were_let_in() -> None:
    own = "public, max-age=60"
    responses: list[Any] = [
        ObjectResponse(ScriptedSource((CHUNK,), len(CHUNK)), "key", cache_control=own),
        ObjectResponse(ScriptedSource((CHUNK,), len(CHUNK)), "key", headers={"Cache-Control": own}),
        StreamResponse(CHUNK, headers={"Cache-Control": own}),
    ]
    for response in responses:
        exchange = await Exchange(extra_scope={GUARDED: True}).call(response)
        assert exchange.headers["cache-control"] == own


async def test_one_response_answers_many_requests() -> None:
    app = ObjectResponse(ScriptedSource((CHUNK,), len(CHUNK)), "key")
    assert [(await Exchange().call(app)).content for _ in range(3)] == [CHUNK] * 3


async def test_body_is_sent_before_a_dependency_closes_what_it_comes_from(
    server: Server, httpbin: str
) -> None:
    url = quote(f"{httpbin}/range/102400?chunk_size=1024", safe="")
    answer = await server.fetch(f"/dependency/x?url={url}")
    assert (answer.status, len(answer.content), answer.complete) == (200, 102_400, True)


# FastAPI.


@pytest.mark.parametrize("response_class", [ObjectResponse, StreamResponse])
def test_class_of_a_response_may_stand_at_its_route(response_class: Any) -> None:
    app = FastAPI()

    @app.get("/a", response_class=response_class)
    async def read() -> Any:
        raise AssertionError

    assert set(app.openapi()["paths"]["/a"]["get"]["responses"]) == {"200"}


def _app() -> tuple[FastAPI, list[str]]:
    """An application with two object routes, one of them behind a dependency that refuses."""
    app = FastAPI()
    router = APIRouter(prefix="/api")
    asked: list[str] = []
    source = ScriptedSource((CHUNK,), len(CHUNK))

    def refuse() -> None:
        asked.append("refused")
        raise HTTPException(401)

    @object_route(app, "/open/{number}", media_type="image/png", summary="An open one", tags=["objects"])
    async def open_object(number: Annotated[int, Path(ge=1)]) -> ObjectResponse:
        return ObjectResponse(source, str(number))

    @object_route(router, "/closed/{key:path}", dependencies=[Depends(refuse)], name="closed")
    def closed_object(key: str) -> ObjectResponse:
        asked.append("served")
        return ObjectResponse(source, key)

    app.include_router(router)
    return app, asked


def _scope(exchange: Exchange, path: str) -> dict[str, Any]:
    return {**exchange.scope, "path": path, "raw_path": path.encode()}


async def _ask(app: FastAPI, path: str, method: str = "GET") -> Exchange:
    exchange = Exchange(method=method)
    await app(_scope(exchange, path), exchange.receive, exchange.send)
    return exchange


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_dependencies_of_a_route_guard_every_method(method: str) -> None:
    app, asked = _app()
    exchange = await _ask(app, "/api/closed/a/b", method)
    assert (exchange.status, asked) == (401, ["refused"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_parameters_of_a_route_are_checked_for_every_method(method: str) -> None:
    app, _ = _app()
    assert (await _ask(app, "/open/0", method)).status == 422
    assert (await _ask(app, "/open/1", method)).status == 200


def test_address_of_a_route_can_be_made_from_its_name() -> None:
    app, _ = _app()
    assert app.url_path_for("closed", key="a/b") == "/api/closed/a/b"
    assert app.url_path_for("open_object", number="1") == "/open/1"


def test_document_describes_each_route_once_with_all_its_answers() -> None:
    app, _ = _app()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = json.loads(json.dumps(app.openapi()))
    assert {path: set(operations) for path, operations in document["paths"].items()} == {
        "/open/{number}": {"get"},
        "/api/closed/{key}": {"get"},
    }
    operations = [operation["get"] for operation in document["paths"].values()]
    assert len({operation["operationId"] for operation in operations}) == 2
    for operation in operations:
        assert set(operation["responses"]) - {"422"} == OBJECT_STATUSES
    opened = document["paths"]["/open/{number}"]["get"]
    assert (opened["summary"], opened["tags"]) == ("An open one", ["objects"])
    assert set(opened["responses"]["200"]["content"]) == {"image/png"}
    assert {parameter["name"] for parameter in opened["parameters"]} == {"number"}


def test_answers_of_a_route_can_be_described_otherwise() -> None:
    app = FastAPI()

    @object_route(app, "/x", responses={404: {"description": "None of ours"}}, operation_id="get_x")
    def x() -> ObjectResponse:
        return ObjectResponse(ScriptedSource(), "x")

    operation = app.openapi()["paths"]["/x"]["get"]
    assert operation["responses"]["404"] == {"description": "None of ours"}
    assert (operation["operationId"], set(operation["responses"])) == ("get_x", OBJECT_STATUSES)


def test_route_can_stay_out_of_the_document() -> None:
    app = FastAPI()

    @object_route(app, "/x", include_in_schema=False)
    def x() -> ObjectResponse:
        return ObjectResponse(ScriptedSource(), "x")

    assert app.openapi()["paths"] == {}
