"""Verifiers in front of FastAPI's operations: who gets in, and what the others are told."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from sluicegate.access.any_of import AnyOf
from sluicegate.access.base import AccessRequest, Grant, Refusal, Stateless, Verdict, Verifier
from sluicegate.access.dependency import require
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import LinkOptions, SignedLinks
from sluicegate.http.addresses import Network
from sluicegate.http.fields import GUARDED
from tests.delivery.raw_client import fetch
from tests.servers.asgi import serve_in_thread

from .signing import KEYS

BASIC = 'Basic realm="files"'
LOOPBACK = (ip_network("127.0.0.0/8"),)
LINKS = SignedLinks(KEYS)


class Password(Stateless):
    """Lets one password in, and says what it was asked."""

    def __init__(self) -> None:
        self.seen: list[AccessRequest] = []

    async def verify(self, request: AccessRequest) -> Verdict:
        self.seen.append(request)
        match request.field(b"authorization"):
            case "Basic right":
                return Grant(subject="anna")
            case "Basic away":
                return Refusal(reason="secret: nobody to ask", status=503)
            case "Basic bare":
                return Refusal(reason="a 401 of a verifier that has no challenge")
            case shown:
                reason = "secret: wrong password" if shown else "no password"
                return Refusal(reason=reason, status=401, challenge=BASIC, absent=shown is None)


def guarded(verifier: Verifier, *, trusted_proxies: Sequence[Network] = ()) -> FastAPI:
    """An application with an operation that says who asks, and for what. Somebody else enters `verifier`."""
    app = FastAPI()
    guard = require(verifier, trusted_proxies=trusted_proxies)

    @app.api_route("/{key:path}", methods=["GET", "OPTIONS"])
    async def read(key: str, grant: Annotated[Grant, Depends(guard)]) -> dict[str, str | None]:
        return {"subject": grant.subject, "key": key}

    return app


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An application for links and passwords, with others mounted in it that are for links alone."""
    both = AnyOf({"links": LINKS, "people": Password()})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with both:
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/my files", guarded(LINKS))
    outer.mount("/direct", guarded(LINKS))
    outer.mount("/", guarded(both))
    with serve_in_thread(outer) as served:
        yield served


def signed(path: str, **claims: Any) -> str:
    return LINKS.sign(path, 600, LinkClaims(**claims))


async def test_link_lets_in_and_its_grant_is_the_operations(url: str) -> None:
    answer = await fetch(url, LINKS.link("/a/b.jpg", 600, LinkClaims(subject="anna")))
    assert (answer.status, answer.content) == (200, b'{"subject":"anna","key":"a/b.jpg"}')
    cookie = ("Cookie", f"sluicegate_link={signed('', prefix='/a/')}")
    assert (await fetch(url, "/a/c.jpg", fields=[cookie])).status == 200


async def test_password_lets_in(url: str) -> None:
    answer = await fetch(url, "/a", fields=[("Authorization", "Basic right")])
    assert (answer.status, answer.content) == (200, b'{"subject":"anna","key":"a"}')


@pytest.mark.parametrize(
    ("path", "shown", "told"),
    [
        pytest.param("/a", None, (401, BASIC, b'{"detail":"Unauthorized"}'), id="nothing-shown"),
        pytest.param("/a", "Basic wrong", (401, BASIC, b'{"detail":"Unauthorized"}'), id="wrong-password"),
        pytest.param("/a?link=x", None, (403, None, b'{"detail":"Forbidden"}'), id="bad-link"),
        pytest.param("/a", "Basic away", (503, None, b'{"detail":"Service Unavailable"}'), id="away"),
        pytest.param("/a", "Basic bare", (403, None, b'{"detail":"Forbidden"}'), id="no-challenge"),
    ],
)
async def test_refused_client_is_told_a_status_and_a_challenge_and_no_reason(
    url: str, path: str, shown: str | None, told: tuple[int, str | None, bytes]
) -> None:
    answer = await fetch(url, path, fields=[] if shown is None else [("Authorization", shown)])
    assert (answer.status, answer.get("www-authenticate"), answer.content) == told


async def test_503_says_when_to_come_again(url: str) -> None:
    answer = await fetch(url, "/a", fields=[("Authorization", "Basic away")])
    assert (answer.status, answer.get("retry-after")) == (503, "2")


async def test_503_with_a_challenge_says_both() -> None:
    class Away(Stateless):
        async def verify(self, request: AccessRequest) -> Verdict:
            return Refusal(reason="nobody to ask", status=503, challenge=BASIC)

    async with asked_directly(guarded(Away())) as client:
        answer = await client.get("/a")
    assert (answer.headers["www-authenticate"], answer.headers["retry-after"]) == (BASIC, "2")


async def test_browser_that_asks_for_the_methods_needs_no_credentials_and_is_nobody(url: str) -> None:
    for fields in ([], [("Authorization", "Basic right")]):
        answer = await fetch(url, "/a", method="OPTIONS", fields=fields)
        assert (answer.status, answer.content) == (200, b'{"subject":null,"key":"a"}')
    assert (await fetch(url, "/%2e%2e/a", method="OPTIONS")).status == 400


@pytest.mark.parametrize(("method", "marked"), [("GET", True), ("OPTIONS", None)])
async def test_request_that_is_let_in_is_marked_for_its_response(method: str, marked: bool | None) -> None:
    marks = []

    class Marked(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            marks.append(scope.get(GUARDED))
            await super().__call__(scope, receive, send)

    inner, outer = FastAPI(), FastAPI()
    outer.mount("/inner", inner)

    @inner.api_route("/a", methods=[method], dependencies=[Depends(require(Password()))])
    async def read() -> Response:
        return Marked()

    async with asked_directly(outer) as client:
        await client.request(method, "/inner/a", headers={"authorization": "Basic right"})
    assert marks == [marked]


async def test_401_without_a_challenge_is_a_403() -> None:
    async with asked_directly(guarded(Password())) as client:
        answer = await client.get("/a", headers={"authorization": "Basic bare"})
    assert (answer.status_code, "www-authenticate" in answer.headers) == (403, False)


async def test_reason_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sluicegate")
    async with asked_directly(guarded(Password())) as client:
        answer = await client.get("/a", headers={"authorization": "Basic wrong"})
    assert answer.status_code == 401
    assert "secret" not in answer.text
    assert [record.getMessage() for record in caplog.records if record.name == "sluicegate"] == [
        "access refused: secret: wrong password"
    ]


# The path: the one that is routed, and no other.


@pytest.mark.parametrize("path", ["/%2e%2e/a", "/a/../b", "/a%00", "/a%2F..%2Fb", "/%ff", "/a%5C..%5Cb"])
async def test_path_that_could_be_read_in_two_ways_is_a_400(url: str, path: str) -> None:
    answer = await fetch(url, f"{path}?link={signed('', prefix='/')}")
    assert answer.status == 400


async def test_encoded_slash_is_judged_as_the_slash_that_the_operation_is_given(url: str) -> None:
    token = signed("", prefix="/a/")
    for path in ("/a/b/c", "/a/b%2Fc", "/a%2Fb%2fc"):
        answer = await fetch(url, f"{path}?link={token}")
        assert (answer.status, json.loads(answer.content)["key"]) == (200, "a/b/c")
        assert (await fetch(url, f"{path}?link={signed('/a/b/c')}")).status == 200
        assert (await fetch(url, f"{path}?link={signed('/a/b')}")).status == 403
    for path in ("/a%2F..%2Fb", "/a%2F.", "/..%2Fa"):
        assert (await fetch(url, f"{path}?link={token}")).status == 400


async def test_path_of_a_mounted_application_is_the_one_below_it(url: str) -> None:
    token = signed("/a%20b")
    for path in ("/my%20files/a%20b", "/%6dy%20files/%61%20b"):
        assert (await fetch(url, f"{path}?link={token}")).status == 200
    assert (await fetch(url, f"/my%20files/b?link={token}")).status == 403
    assert (await fetch(url, f"/my%20files/a%20b?link={signed('/my%20files/a%20b')}")).status == 403


async def test_spelling_of_the_mount_lets_nobody_read_another_path(url: str) -> None:
    # It allows /my files/my files/x alone: "x" below the mount is not below this prefix.
    token = signed("", prefix="/my%20files/")
    assert (await fetch(url, f"/my%20files/my%20files/x?link={token}")).status == 200
    for path in ("/my%20files/x", "/%6dy%20files/x", "/%6D%79%20%66%69%6C%65%73/x"):
        assert (await fetch(url, f"{path}?link={token}")).status == 403
    for path in ("/my%20files%2Fx", "/my%20files%2Fmy%20files/x"):
        assert (await fetch(url, f"{path}?link={token}")).status == 400


@asynccontextmanager
async def asked_directly(
    app: Any, *, root_path: str = "", peer: tuple[str, int] = ("192.0.2.7", 1)
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application without a server: for what no server here sends."""
    transport = httpx.ASGITransport(app, root_path=root_path, client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="http://sluicegate.test") as client:
        yield client


@pytest.mark.parametrize(
    ("root_path", "path", "signed_path"),
    [
        pytest.param("/api", "/api/a", "/a", id="path-with-the-root"),
        pytest.param("/api", "/a", "/a", id="proxy-has-taken-the-root-away"),
        pytest.param("/api", "/apia/b", "/apia/b", id="root-ends-at-a-slash"),
        pytest.param("/api/v1", "/api/v1/a", "/a", id="two-segments"),
        pytest.param("", "/a", "/a", id="no-root"),
    ],
)
async def test_root_path_is_no_part_of_the_path(root_path: str, path: str, signed_path: str) -> None:
    async with asked_directly(guarded(LINKS), root_path=root_path) as client:
        assert (await client.get(f"{path}?link={signed(signed_path)}")).status_code == 200
        assert (await client.get(f"{path}?link={signed('/x')}")).status_code == 403


@pytest.mark.parametrize(
    ("root_path", "path", "expected"),
    [
        pytest.param("/my api", "/my%20api/hls/a", "/my%20api/hls/", id="path-with-the-root"),
        pytest.param("/my api", "/hls/a", "/my%20api/hls/", id="proxy-has-taken-the-root-away"),
        pytest.param("", "/hls/a", "/hls/", id="no-root"),
    ],
)
async def test_cookie_of_a_prefix_is_for_the_path_that_browsers_see(
    root_path: str, path: str, expected: str
) -> None:
    links = SignedLinks(KEYS, LinkOptions(cookie_for_prefix=True))
    app = FastAPI()
    granted = require(links)

    @app.get("/{key:path}")
    def read(grant: Annotated[Grant, Depends(granted)]) -> str:
        return grant.cookie or ""

    token = links.sign("", 600, LinkClaims(prefix="/hls/"))
    async with asked_directly(app, root_path=root_path) as client:
        answer = await client.get(f"{path}?link={token}")
    assert f"; Path={expected};" in answer.json()


async def test_root_alone_is_the_path_of_a_slash() -> None:
    password = Password()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api",
        "raw_path": b"/api",
        "root_path": "/api",
        "query_string": b"",
        "headers": [(b"authorization", b"Basic right")],
    }
    assert await require(password)(Request(scope)) == Grant(subject="anna")
    assert [request.path for request in password.seen] == ["/"]


async def test_path_that_a_middleware_has_changed_is_not_judged_by_what_it_was() -> None:
    app = guarded(LINKS)

    async def rewritten(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "path": "/secret"}, receive, send)

    async with asked_directly(rewritten) as client:
        answer = await client.get(f"/public?link={signed('/public')}")
    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": "the path is not the one that the request was routed by"},
    )


async def test_server_that_tells_no_raw_path_is_understood() -> None:
    app = guarded(LINKS)

    async def without(scope: Any, receive: Any, send: Any) -> None:
        await app({name: value for name, value in scope.items() if name != "raw_path"}, receive, send)

    async with asked_directly(without) as client:
        for path in ("/a%20b/%C3%A9", "/a%25"):
            assert (await client.get(f"{path}?link={signed(path)}")).status_code == 200
            assert (await client.get(f"{path}?link={signed('/x')}")).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1/public?", "/public", "127.0.0.1/public#", "a@b/public?x="])
async def test_cve_2026_48710_host_field_is_not_where_the_path_comes_from(url: str, host: str) -> None:
    token = signed("/public")
    raw = f"GET /secret?link={token} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = await sent(url, raw.encode())
    assert answer.split(b" ")[1] in (b"400", b"403")
    assert b"secret" not in answer


async def sent(url: str, raw: bytes) -> bytes:
    """What a server answers to a request that is sent byte for byte."""
    host, _, port = url.removeprefix("http://").partition(":")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(raw)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


# The client's address.


@pytest.mark.parametrize(
    ("mount", "forwarded", "status"),
    [
        pytest.param("/proxied", ["192.0.2.7"], 200, id="trusted-peer"),
        pytest.param("/proxied", ["203.0.113.9"], 403, id="trusted-peer-of-another-client"),
        pytest.param("/proxied", ["203.0.113.9, 192.0.2.7"], 200, id="last-entry-counts"),
        pytest.param("/proxied", ["192.0.2.7, 203.0.113.9"], 403, id="first-entry-is-the-clients-word"),
        pytest.param("/proxied", ["203.0.113.9", "192.0.2.7"], 200, id="last-field-counts"),
        pytest.param("/proxied", ["192.0.2.7", "203.0.113.9"], 403, id="first-field-is-the-clients-word"),
        pytest.param("/proxied", ["192.0.2.7, nonsense"], 403, id="nonsense-ends-it"),
        pytest.param("/proxied", ["::ffff:192.0.2.7"], 200, id="mapped"),
        pytest.param("/proxied", [], 403, id="trusted-peer-says-nothing"),
        pytest.param("/direct", ["192.0.2.7"], 403, id="untrusted-peer"),
    ],
)
async def test_forwarded_address_counts_from_a_trusted_peer_alone(
    mount: str, forwarded: list[str], status: int
) -> None:
    outer = FastAPI()
    outer.mount("/proxied", guarded(LINKS, trusted_proxies=LOOPBACK))
    outer.mount("/direct", guarded(LINKS))
    fields = [("x-forwarded-for", value) for value in forwarded]
    path = f"{mount}/a?link={signed('/a', network='192.0.2.0/24')}"
    async with asked_directly(outer, peer=("127.0.0.1", 1)) as client:
        assert (await client.get(path, headers=fields)).status_code == status
    # From elsewhere, the same words change nothing: the peer is the client.
    async with asked_directly(outer, peer=("198.51.100.1", 1)) as client:
        assert (await client.get(path, headers=fields)).status_code == 403
    async with asked_directly(outer, peer=("192.0.2.99", 1)) as client:
        assert (await client.get(path, headers=fields)).status_code == 200


async def test_peer_on_a_socket_is_the_client(url: str) -> None:
    path = f"/direct/a?link={signed('/a', network='127.0.0.0/8')}"
    assert (await fetch(url, path)).status == 200
    path = f"/direct/a?link={signed('/a', network='10.0.0.0/8')}"
    assert (await fetch(url, path)).status == 403


async def test_client_without_an_address_is_in_no_network() -> None:
    app = guarded(LINKS)

    async def unix(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": None}, receive, send)

    async with asked_directly(unix) as client:
        client.headers["x-forwarded-for"] = "192.0.2.7"
        assert (await client.get(f"/a?link={signed('/a', network='0.0.0.0/0')}")).status_code == 403
        assert (await client.get(f"/a?link={signed('/a')}")).status_code == 200
