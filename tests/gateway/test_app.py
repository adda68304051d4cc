"""The gateway as an application: what it answers itself, over real sockets, and how it starts and stops."""

import asyncio
import gc
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Mount

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import load_config, parse_config
from tests.delivery.raw_client import fetch
from tests.files import write_files
from tests.servers.asgi import ServerName, serve, serve_in_thread
from tests.servers.process import ServerFailed

CONTENT = b"Hello, world.\n"
ROUTES = """\
[stores.files]
url = "file://./objects"

[[routes]]
path = "/files/{key:path}"
object = "files:{key}"
summary = "Download any file"

[[routes]]
path = "/tasks/{task_id:int}/image"
object = "files:test/{task_id}/image.jpg"
media_type = "image/jpeg"

[[routes]]
path = "/runs/{run:uuid}/{name}"
object = "files:{run}/{name}"

[[routes]]
path = "/tasks/{task_id:int}/bytes/{size:int}"
upstream = "http://127.0.0.1:1/stream-bytes/{size}"
"""
UUID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gateway")
    keys = ("a.txt", "test/1/image.jpg", f"{UUID}/log", "healthz")
    write_files(place / "objects", dict.fromkeys(keys, CONTENT))
    return place


def gateway(folder: Path, more: str = "") -> Gateway:
    return Gateway(parse_config(ROUTES + more, {}, name=str(folder / "sluicegate.toml")))


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serve_in_thread(gateway(folder)) as served:
        yield served


def raw(url: str, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; the status, the fields and the content of the answer to them."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as client:
        client.sendall(request)
        received = b""
        while more := client.recv(65536):
            received += more
    head, _, content = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split(" ")[1]), fields, content


# Health and documents.


@pytest.mark.parametrize(("path", "said"), [("/healthz", b"ok"), ("/readyz", b"ready")])
async def test_health_is_answered_and_never_stored(path: str, said: bytes, url: str) -> None:
    answer = await fetch(url, path)
    assert (answer.status, answer.content, answer.get("cache-control")) == (200, said, "no-store")
    assert (await fetch(url, path, "HEAD")).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/docs/swagger-ui.css"])
async def test_own_paths_take_no_other_methods(path: str, url: str) -> None:
    refused = await fetch(url, path, "POST", body=b"x")
    options = await fetch(url, path, "OPTIONS")
    assert (refused.status, refused.get("allow")) == (405, "GET, HEAD, OPTIONS")
    assert (options.status, options.get("allow"), options.content) == (204, "GET, HEAD, OPTIONS", b"")


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "raw_path": path.encode(),
        "headers": [(b"host", b"x")],
    }


async def test_gateway_is_not_ready_before_its_sources_are_open(folder: Path) -> None:
    app = gateway(folder)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope_of("/readyz"), receive, send)
    assert sent[0]["status"] == 503


async def test_documentation_page_needs_nothing_from_elsewhere(url: str) -> None:
    page = (await fetch(url, "/docs")).content.decode()
    assert "://" not in page
    linked = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(linked) == 3
    for name in linked:
        asset = await fetch(url, f"/{name}")
        assert (asset.status, asset.complete) == (200, True)
        assert len(asset.content) > 500
    kinds = [(await fetch(url, f"/{name}")).get("content-type") for name in linked]
    assert [str(kind).partition(";")[0] for kind in kinds] == ["text/css", "image/png", "text/javascript"]


MANY_RANGES = ",".join(f"{first}-{first}" for first in range(0, 12_000, 2))


@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=0-0,2-2", f"bytes={MANY_RANGES}"])
async def test_documents_are_sent_as_a_whole_whatever_ranges_are_asked_for(asked: str, url: str) -> None:
    for path in ("/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/openapi.json"):
        whole = await fetch(url, path)
        part = await fetch(url, path, fields=[("Range", asked)])
        assert (part.status, part.content) == (200, whole.content)
        assert (part.get("etag"), part.get("accept-ranges")) == (whole.get("etag"), None)
        assert whole.get("etag") is not None


async def test_documents_wait_for_their_client_piece_by_piece(folder: Path) -> None:
    sizes: list[int] = []

    async def send(message: Any) -> None:
        sizes.append(len(message.get("body", b"")))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await gateway(folder)(scope_of("/docs/swagger-ui-bundle.js"), receive, send)
    assert sum(sizes) > 1024 * 1024
    assert max(sizes) <= 64 * 1024


async def test_openapi_is_valid_and_has_every_route_with_typed_parameters(url: str) -> None:
    answer = await fetch(url, "/openapi.json")
    document = json.loads(answer.content)
    assert answer.get("content-type") == "application/json"
    validate(document)
    assert {
        path: {
            one["name"]: (one["schema"]["type"], one["schema"].get("format")) for one in item["parameters"]
        }
        for path, item in document["paths"].items()
    } == {
        "/files/{key}": {"key": ("string", None)},
        "/tasks/{task_id}/image": {"task_id": ("integer", None)},
        "/runs/{run}/{name}": {"run": ("string", "uuid"), "name": ("string", None)},
        "/tasks/{task_id}/bytes/{size}": {"task_id": ("integer", None), "size": ("integer", None)},
    }
    assert document["paths"]["/files/{key}"]["get"]["summary"] == "Download any file"


async def test_documents_can_be_hidden(folder: Path) -> None:
    with serve_in_thread(gateway(folder, "[gateway]\nopenapi = false\n")) as url:
        hidden = ("/docs", "/openapi.json", "/docs/swagger-ui.css")
        assert [(await fetch(url, path)).status for path in hidden] == [404, 404, 404]
        assert (await fetch(url, "/healthz")).status == 200


async def test_title_from_the_configuration_cannot_break_the_page(folder: Path) -> None:
    with serve_in_thread(gateway(folder, '[gateway]\ntitle = "</title><script>&{x}"\n')) as url:
        page = (await fetch(url, "/docs")).content.decode()
    assert "<title>&lt;/title>&lt;script>&amp;{x}</title>" in page


async def test_own_path_in_another_spelling_is_the_same_path(url: str) -> None:
    assert (await fetch(url, "/%68ealthz")).content == b"ok"
    # An encoded slash separates nothing.
    assert (await fetch(url, "/docs%2Fswagger-ui.css")).status == 404


# Requests that no route takes.


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/files", "/files/", "/tasks/1", "/tasks/1/image/", "//files/a.txt"]
)
async def test_unknown_path_is_404_with_problem_details(path: str, url: str) -> None:
    answer = await fetch(url, path)
    problem = json.loads(answer.content)
    assert (answer.status, problem["status"], problem["title"]) == (404, 404, "Not found")
    assert (answer.get("content-type"), answer.get("cache-control")) == (
        "application/problem+json",
        "no-store",
    )


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/tasks/abc/image", "task_id: found 'abc'; expected an integer of at most 19 digits"),
        ("/tasks/1.5/image", "task_id: found '1.5'; expected an integer of at most 19 digits"),
        (
            "/tasks/%D9%A1/image",
            "task_id: found '\N{ARABIC-INDIC DIGIT ONE}'; expected an integer of at most 19 digits",
        ),
        ("/tasks/1/bytes/many", "size: found 'many'; expected an integer of at most 19 digits"),
        ("/runs/1/log", "run: found '1'; expected a UUID such as 123e4567-e89b-12d3-a456-426614174000"),
    ],
    ids=["word", "fraction", "other-digits", "second", "uuid"],
)
async def test_bad_parameter_is_422_that_says_what_is_allowed(path: str, detail: str, url: str) -> None:
    answer = await fetch(url, path)
    problem = json.loads(answer.content)
    assert (answer.status, problem["title"], problem["detail"]) == (422, "Bad parameter", detail)
    assert (answer.get("content-type"), answer.get("cache-control")) == (
        "application/problem+json",
        "no-store",
    )


async def test_bad_parameter_of_any_length_is_repeated_in_part(url: str) -> None:
    answer = await fetch(url, f"/tasks/{'9' * 5000}/image")
    assert answer.status == 422
    assert len(answer.content) < 500


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "TRACE", "PROPFIND"])
async def test_other_methods_are_405_whatever_the_route(method: str, url: str, folder: Path) -> None:
    for path in ("/files/a.txt", "/tasks/1/bytes/5"):
        answer = await fetch(url, path, method, body=b"new content")
        assert (answer.status, answer.get("allow")) == (405, "GET, HEAD, OPTIONS")
        assert answer.get("cache-control") == "no-store"
    assert (folder / "objects" / "a.txt").read_bytes() == CONTENT


# Host (RFC 9112, section 3.2).


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b"a", b"a"],
        [b"a", b"b"],
        [b""],
        [b"a b"],
        [b"a/b"],
        [b"user@a"],
        [b"a?b"],
        [b"a\\b"],
        [b"a:port"],
        [b"a:80:80"],
        [b"[::1"],
        [b"<script>"],
        [b"h\xf6st"],
    ],
    ids=[
        *("missing", "twice", "two", "empty", "space", "slash", "user", "query", "backslash", "port"),
        *("two-ports", "bracket", "tag", "latin"),
    ],
)
def test_request_without_exactly_one_valid_host_is_400(hosts: list[bytes], url: str) -> None:
    lines = b"".join(b"Host: " + host + b"\r\n" for host in hosts)
    for path in (b"/files/a.txt", b"/healthz", b"/docs"):
        status, fields, _ = raw(url, b"GET " + path + b" HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        assert status == 400
        assert fields["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", [b"a", b"a.example:8080", b"127.0.0.1:80", b"[::1]:8080", b"a_b", b"a:"])
def test_valid_host_of_any_form_is_served(host: bytes, url: str) -> None:
    request = b"GET /files/a.txt HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    status, _, content = raw(url, request)
    assert (status, content) == (200, CONTENT)


def test_http_1_0_needs_no_host(url: str) -> None:
    status, fields, content = raw(url, b"GET /files/a.txt HTTP/1.0\r\n\r\n")
    assert (status, content, fields["content-length"]) == (200, CONTENT, str(len(CONTENT)))
    assert raw(url, b"GET /files/a.txt HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")[0] == 400


# Request ids.


@pytest.mark.parametrize("given", [None, "id-1"])
async def test_every_answer_names_its_request(given: str | None, url: str) -> None:
    fields = [] if given is None else [("X-Request-Id", given)]
    for method, path in (
        *(
            ("GET", path)
            for path in ("/healthz", "/readyz", "/docs", "/docs/swagger-ui.css", "/openapi.json")
        ),
        *(("GET", path) for path in ("/no/such/route", "/%ff")),
        *(("HEAD", "/healthz"), ("OPTIONS", "/healthz"), ("PUT", "/healthz")),
    ):
        named = (await fetch(url, path, method, fields)).head.all("x-request-id")
        assert len(named) == 1, path
        assert named == [given] or given is None, path


async def test_given_request_id_is_echoed_in_problem_details(url: str) -> None:
    for path in ("/nope", "/files/missing", "/tasks/abc/image", "/tasks/1/bytes/5", "/files/%00"):
        answer = await fetch(url, path, fields=[("X-Request-Id", "trace-7f3a.1")])
        assert (answer.get("x-request-id"), json.loads(answer.content)["request_id"]) == (
            "trace-7f3a.1",
            "trace-7f3a.1",
        )


@pytest.mark.parametrize(
    "given",
    ["", "two words", 'a"b', "<script>", "\xe9", "x" * 129, "a\tb"],
    ids=["empty", "space", "quote", "tag", "latin", "long", "tab"],
)
async def test_request_id_that_is_not_sane_is_replaced(given: str, url: str) -> None:
    for path in ("/nope", "/files/missing"):
        answer = await fetch(url, path, fields=[("X-Request-Id", given)])
        made = str(answer.get("x-request-id"))
        assert re.fullmatch(r"[0-9a-f]{16}", made)
        assert json.loads(answer.content)["request_id"] == made


# Starting and stopping.


TWO_STORES = """\
[stores.first]
url = "file://./objects"
[stores.second]
url = "file://./gone"
[[routes]]
path = "/a/{key:path}"
object = "first:{key}"
[[routes]]
path = "/b/{key:path}"
object = "second:{key}"
"""

TWO_UPSTREAMS = """\
[[routes]]
path = "/a/{key:path}"
upstream = "http://127.0.0.1:1/{key}"
[[routes]]
path = "/b/{key:path}"
upstream = "https://127.0.0.1:1/{key}"
tls_verify = "not-a-certificate.pem"
"""


@asynccontextmanager
async def lifespan(app: Gateway, send: Callable[[Any], Awaitable[None]]) -> AsyncIterator[None]:
    """Start an application as a server does, and stop it at the end of the block."""
    messages: asyncio.Queue[Any] = asyncio.Queue()
    started = asyncio.Event()

    async def answered(message: Any) -> None:
        await send(message)
        started.set()

    task = asyncio.ensure_future(app({"type": "lifespan"}, messages.get, answered))
    try:
        await messages.put({"type": "lifespan.startup"})
        await asyncio.wait_for(started.wait(), 20)
        yield
        await messages.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(task, 20)
    finally:
        task.cancel()


def open_sessions() -> list[aiohttp.ClientSession]:
    found = [thing for thing in gc.get_objects() if isinstance(thing, aiohttp.ClientSession)]
    return [session for session in found if not session.closed]


async def test_upstream_that_cannot_be_opened_leaves_the_others_closed(tmp_path: Path) -> None:
    (tmp_path / "not-a-certificate.pem").write_text("no certificate\n")
    app = Gateway(parse_config(TWO_UPSTREAMS, {}, name=str(tmp_path / "sluicegate.toml")))
    before = len(open_sessions())
    seen: list[tuple[str, str, int]] = []

    async def send(message: Any) -> None:
        # A server may end as soon as it hears this, so that nothing is closed later.
        seen.append((message["type"], message.get("message", ""), len(open_sessions()) - before))

    async with lifespan(app, send):
        pass
    ((kind, said, left_open),) = seen
    assert (kind, left_open) == ("lifespan.startup.failed", 0)
    assert said.startswith("cannot open upstream https://127.0.0.1:1: tls_verify: ")


async def test_gateway_closes_what_it_opened_when_it_stops(tmp_path: Path) -> None:
    text = TWO_UPSTREAMS.replace('tls_verify = "not-a-certificate.pem"\n', "")
    before = len(open_sessions())
    seen: list[tuple[str, int]] = []

    async def send(message: Any) -> None:
        seen.append((message["type"], len(open_sessions()) - before))

    async with lifespan(Gateway(parse_config(text, {}, name=str(tmp_path / "sluicegate.toml"))), send):
        pass
    assert seen == [("lifespan.startup.complete", 2), ("lifespan.shutdown.complete", 0)]


def gateway_of_two(folder: Path) -> Gateway:
    (folder / "gone").mkdir(exist_ok=True)
    app = Gateway(parse_config(TWO_STORES, {}, name=str(folder / "sluicegate.toml")))
    (folder / "gone").rmdir()
    return app


def test_store_that_is_gone_at_the_start_fails_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ServerFailed), serve_in_thread(gateway_of_two(folder)):
        pass
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said[0].startswith("cannot open store 'second': file://")
    assert all(record.exc_info is None for record in caplog.records)


def gateway_of_file() -> Gateway:
    """What a server in a process of its own makes."""
    return Gateway(load_config(Path(os.environ["TESTS_CONFIG"]), os.environ))


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_gateway_runs_under_every_server(server: ServerName, folder: Path) -> None:
    config = folder / "sluicegate.toml"
    config.write_text(ROUTES)
    with serve(gateway_of_file, server, env={"TESTS_CONFIG": str(config)}, ready_path="/readyz") as served:
        assert (await fetch(served.url, "/readyz")).content == b"ready"
        part = await fetch(served.url, "/files/a%2Etxt", fields=[("Range", "bytes=7-11")])
        assert (part.status, part.content, part.get("content-range")) == (206, b"world", "bytes 7-11/14")
        assert (await fetch(served.url, "/tasks/abc/image")).status == 422
        assert (await fetch(served.url, "/files/b%2F..%2Fa.txt")).status == 400
        assert (await fetch(served.url, "/docs/swagger-ui.css")).complete


def test_gateway_below_a_path_of_another_application_serves_there(folder: Path) -> None:
    inner = gateway(folder)

    async def ignored(_: Any) -> None:
        pass

    outer = Starlette(routes=[Mount("/storage", inner)], lifespan=lambda _: lifespan(inner, ignored))
    with serve_in_thread(outer) as url:
        assert httpx.get(f"{url}/storage/files/a.txt", trust_env=False).content == CONTENT
        assert httpx.get(f"{url}/storage/healthz", trust_env=False).text == "ok"
        page = httpx.get(f"{url}/storage/docs", trust_env=False)
        assert (page.status_code, "docs/swagger-ui.css" in page.text) == (200, True)
