"""Paths as a hostile client sends them, byte for byte: nothing but the template's objects can be reached.

Behind the gateway are origins that write down what they are asked, and a real store with traps in it.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from sluicegate.testing.awkward_keys import AWKWARD_KEYS, AwkwardKey
from tests.delivery.raw_client import fetch
from tests.servers.asgi import serve_in_thread
from tests.servers.s3 import S3Server, juicefs

from .test_relay_upstream import RawUpstream, object_answer, raw_upstream

CLIENTS = ("obstore", "aiobotocore", "botocore")
OBJECT = b"the object"
TRAP = b"a trap: no request may ever get this"


def stores(endpoint_url: str, prefix: str, access_key: str, secret_key: str) -> str:
    """A store and three routes for each client, the routes below the name of the client."""
    return "".join(
        f"""
[stores.{client}]
url = "s3://images/{prefix}"
endpoint_url = "{endpoint_url}"
region = "us-east-1"
access_key_id = "{access_key}"
secret_access_key = "{secret_key}"
client = "{client}"

[[routes]]
path = "/{client}/tasks/{{task_id:int}}/image"
object = "{client}:test/{{task_id}}/image.jpg"

[[routes]]
path = "/{client}/users/{{user}}/avatar"
object = "{client}:users/{{user}}/avatar.png"

[[routes]]
path = "/{client}/files/{{key:path}}"
object = "{client}:public/{{key}}"
disposition = "attachment"
"""
        for client in CLIENTS
    )


# Origins that write down what they are asked.


@pytest.fixture(scope="module")
def fake() -> Iterator[RawUpstream]:
    with raw_upstream() as running:
        fields = ('ETag: "v1"', "Last-Modified: Mon, 30 Jun 2025 00:00:00 GMT")
        running.otherwise = object_answer(OBJECT, *fields)
        yield running


@pytest.fixture(scope="module")
def url(fake: RawUpstream) -> Iterator[str]:
    relays = f"""
[[routes]]
path = "/relay/one/{{name}}/end"
upstream = "{fake.url}/api/{{name}}/end"

[[routes]]
path = "/relay/all/{{key:path}}"
upstream = "{fake.url}/api/{{key}}"
"""
    text = stores(fake.url, "photos/2025", "id", "key") + relays
    with serve_in_thread(Gateway(parse_config(text, {}))) as served:
        yield served


def asked(fake: RawUpstream) -> list[bytes]:
    """The targets of the requests so far, without their queries; they are forgotten then."""
    targets = [request.split(b" ")[1].partition(b"?")[0] for request in fake.requests]
    fake.requests.clear()
    return targets


SERVED = {
    "plain": ("files/a.jpg", "public/a.jpg"),
    "punctuation": ("files/a+b%20(1)'!*.jpg", "public/a+b (1)'!*.jpg"),
    "all-encoded": ("files/%61%2B%62%20%281%29%27%21%2A%2E%6A%70%67", "public/a+b (1)'!*.jpg"),
    "cjk": ("files/%E6%97%A5%E6%9C%AC%E8%AA%9E.jpg", "public/日本語.jpg"),
    "emoji": ("files/%F0%9F%8E%89/%F0%9F%9A%80.png", "public/🎉/🚀.png"),
    "encoded-slash": ("files/a%2Fb", "public/a/b"),
    "literal-escape": ("files/a%252Fb", "public/a%2Fb"),
    "literal-escaped-dots": ("files/%252e%252e%252fsecret", "public/%2e%2e%2fsecret"),
    "literal-nul": ("files/a%2500b", "public/a%00b"),
    "empty-segment": ("files/a//b", "public/a//b"),
    "leading-slash": ("files//a", "public//a"),
    "encoded-leading-slash": ("files/%2Fa", "public//a"),
    "trailing-slash": ("files/a/", "public/a/"),
    "backslash": ("files/a%5Cb", "public/a\\b"),
    "question-mark": ("files/a%3FversionId=1", "public/a?versionId=1"),
    "hash": ("files/a%23b", "public/a#b"),
    "many-dots": ("files/.../..a/b..", "public/.../..a/b.."),
    "path-parameter": ("files/..;/..;x=/a", "public/..;/..;x=/a"),
    "other-bucket-by-name": ("files/s3://private/secret", "public/s3://private/secret"),
    "url": ("files/http://127.0.0.1:1/x", "public/http://127.0.0.1:1/x"),
    "template": ("files/%7Btask_id%7D/$%7BHOME%7D", "public/{task_id}/${HOME}"),
    "query": ("files/a?versionId=1&X-Amz-Signature=x", "public/a"),
    "negative": ("tasks/-5/image", "test/-5/image.jpg"),
    "zeros": ("tasks/007/image", "test/7/image.jpg"),
    "encoded-digits": ("tasks/%37/image", "test/7/image.jpg"),
    "segment": ("users/a%20b@c:d/avatar", "users/a b@c:d/avatar.png"),
    "segment-with-dots": ("users/...a/avatar", "users/...a/avatar.png"),
    "longest-key": (f"files/{'k' * 1005}", f"public/{'k' * 1005}"),
}


@pytest.mark.parametrize(("path", "key"), SERVED.values(), ids=SERVED.keys())
@pytest.mark.parametrize("client", CLIENTS)
async def test_path_means_one_key(client: str, path: str, key: str, url: str, fake: RawUpstream) -> None:
    asked(fake)
    answer = await fetch(url, f"/{client}/{path}")
    targets = {unquote_to_bytes(target).decode() for target in asked(fake)}
    assert (answer.status, answer.content, targets) == (200, OBJECT, {f"/images/photos/2025/{key}"})


REFUSED = {
    "dots": ("files/../../secret", 400),
    "dots-in-front": ("../private/secret", 400),
    "encoded-dots": ("files/%2e%2e/%2E%2E/secret", 400),
    "half-encoded-dots": ("files/.%2e/secret", 400),
    "dots-and-encoded-slashes": ("files/..%2F..%2Fsecret", 400),
    "all-encoded": ("files/%2e%2e%2f%2e%2e%2fsecret", 400),
    "dots-at-the-end": ("files/a/..", 400),
    "dot": ("files/./a", 400),
    "encoded-dot": ("files/a/%2e/b", 400),
    "backslashes": ("files/..%5C..%5Csecret", 400),
    "mixed-slashes": ("files/a%5C..%2Fsecret", 400),
    "absolute-dots": ("files//../secret", 400),
    "nul": ("files/a%00b", 400),
    "nul-at-the-end": ("files/a.jpg%00.txt", 400),
    "line-break": ("files/a%0D%0AX-Evil:%201", 400),
    "tab": ("files/a%09b", 400),
    "escape": ("files/%1B%5B31m", 400),
    "delete": ("files/a%7Fb", 400),
    "raw-control": ("files/a\x01b", 400),
    "raw-space": ("files/a b", 400),
    "raw-tab": ("files/a\tb", 400),
    "raw-utf8": ("files/\xe6\x97\xa5", 400),
    "lone-byte": ("files/%FF", 400),
    "cut-sequence": ("files/a%E6%97", 400),
    "overlong-slash": ("files/..%C0%AF..%C0%AFsecret", 400),
    "overlong-dots": ("files/%C0%AE%C0%AE/secret", 400),
    "surrogate": ("files/%ED%A0%80", 400),
    "malformed-escape": ("files/a%zz", 400),
    "cut-escape": ("files/a%2", 400),
    "lone-percent": ("files/100%", 400),
    "unicode-escape": ("files/%u002e%u002e/secret", 400),
    "empty-key": ("files/", 404),
    "too-long": (f"files/{'k' * 1020}", 404),
    "too-long-in-bytes": (f"files/{'%E6%97%A5' * 340}", 404),
    "far-too-long": (f"files/{'k' * 60_000}", 404),
    "longer-than-any-target": (f"files/{'k' * 100_000}", 400),
    "word": ("tasks/abc/image", 422),
    "slash-in-a-number": ("tasks/1%2F2/image", 404),
    "sign": ("tasks/+1/image", 422),
    "underscore": ("tasks/1_0/image", 422),
    "full-width-digit": ("tasks/%EF%BC%91/image", 422),
    "space-around": ("tasks/%201/image", 422),
    "many-digits": (f"tasks/{'9' * 20}/image", 422),
    "dots-as-a-number": ("tasks/../image", 400),
    "slash-in-a-segment": ("users/a%2Fb/avatar", 404),
    "dots-in-a-segment": ("users/../avatar", 400),
    "encoded-dots-in-a-segment": ("users/%2e%2e/avatar", 400),
    "empty-segment": ("users//avatar", 404),
    "fixed-part-encoded-twice": ("%2566iles/a", 404),
    "other-store": ("stores/images/a", 404),
}


@pytest.mark.parametrize(("path", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_path_that_means_no_key_is_a_clear_4xx_and_asks_nothing(
    path: str, status: int, url: str, fake: RawUpstream
) -> None:
    asked(fake)
    for client in CLIENTS:
        answer = await fetch(url, f"/{client}/{path}")
        assert (answer.status, answer.complete) == (status, True)
        assert len(answer.content) < 1000
    assert asked(fake) == []


RELAYED = {
    "plain": ("all/a/b", "/api/a/b"),
    "encoded": ("all/a%20b+c%2B%26", "/api/a%20b%2Bc%2B%26"),
    "question-mark": ("all/a%3Fadmin=1", "/api/a%3Fadmin%3D1"),
    "hash": ("all/a%23b", "/api/a%23b"),
    "other-host": ("all//127.0.0.1:1/x", "/api//127.0.0.1%3A1/x"),
    "user": ("all/@127.0.0.1:1/x", "/api/%40127.0.0.1%3A1/x"),
    "backslashes": ("all/%5C%5C127.0.0.1%5Cx", "/api/%5C%5C127.0.0.1%5Cx"),
    "url": ("all/http://127.0.0.1:1/", "/api/http%3A//127.0.0.1%3A1/"),
    "literal-escape": ("all/a%252Fb", "/api/a%252Fb"),
    "literal-escaped-dots": ("all/%252e%252e/admin", "/api/%252e%252e/admin"),
    "path-parameter": ("all/..;/admin", "/api/..%3B/admin"),
    "query-is-the-clients": ("all/a?b=c&d=e", "/api/a"),
    "one-segment": ("one/a%20b%3Fc/end", "/api/a%20b%3Fc/end"),
    "cjk": ("one/%E6%97%A5/end", "/api/%E6%97%A5/end"),
}


@pytest.mark.parametrize(("path", "target"), RELAYED.values(), ids=RELAYED.keys())
async def test_path_means_one_target_of_the_upstream(
    path: str, target: str, url: str, fake: RawUpstream
) -> None:
    fake.requests.clear()
    answer = await fetch(url, f"/relay/{path}")
    assert (answer.status, answer.content) == (200, OBJECT)
    (request,) = fake.requests
    assert request.startswith(
        f"GET {target} HTTP/1.1\r\nHost: {fake.url.removeprefix('http://')}\r\n".encode()
    )


@pytest.mark.parametrize(
    "path",
    [
        *(
            "all/../admin",
            "all/%2e%2e/admin",
            "all/a%2F..%2F..%2Fadmin",
            "all/..%5Cadmin",
            "one/..%2Fadmin/end",
        ),
        *("one/a%2Fb/end", "one/../end", "all/a%00", "all/a%0D%0AHost:%20evil", "all/%FF", "all/"),
    ],
)
async def test_path_that_leaves_the_upstreams_template_is_refused(
    path: str, url: str, fake: RawUpstream
) -> None:
    fake.requests.clear()
    answer = await fetch(url, f"/relay/{path}")
    assert answer.status in (400, 404)
    assert fake.requests == []


async def test_host_in_the_request_target_leads_nowhere_else(url: str, fake: RawUpstream) -> None:
    asked(fake)
    answer = await fetch(url, "http://evil.example/obstore/files/a.jpg")
    assert answer.status in (200, 400)
    assert set(asked(fake)) <= {b"/images/photos/2025/public/a.jpg"}
    assert (await fetch(url, "@evil.example/obstore/files/a.jpg")).status == 400
    assert (await fetch(url, "*", "OPTIONS")).status == 400


_PIECES = st.sampled_from(
    [
        *(
            "/",
            "//",
            ".",
            "..",
            "%2e",
            "%2E%2e",
            "%2f",
            "%5c",
            "\\",
            "%00",
            "%0d%0a",
            "%25",
            "%252e%252e%252f",
        ),
        *("a", "%ff", "%e6%97%a5", "%C0%AF", "%3f", "%23", "%20", "%", "é", " ", "\t"),
        *(";", "?", "#", "~", "@", ":", "*", "+"),
    ]
)
_PATHS = st.lists(_PIECES | st.characters(min_codepoint=1, max_codepoint=255), max_size=12).map("".join)


@given(
    route=st.sampled_from(["files/", "tasks/", "users/", "", "files/a/"]),
    path=_PATHS,
    end=st.sampled_from(["", "/image", "/avatar"]),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_path_reaches_outside_its_template(
    url: str, fake: RawUpstream, route: str, path: str, end: str
) -> None:
    # A line break would end the request line: that is another request, and not a path.
    sent = f"{route}{path}{end}".replace("\r", "").replace("\n", "")
    for client in CLIENTS:
        asked(fake)
        answer = asyncio.run(fetch(url, f"/{client}/{sent}"))
        keys = {unquote_to_bytes(target) for target in asked(fake)}
        assert answer.status in (200, 400, 404, 422)
        assert (answer.status == 200) == bool(keys)
        for key in keys:
            base, _, below = key.decode().partition("/photos/2025/")
            assert base == "/images"
            assert below.startswith(("public/", "test/", "users/"))
            assert not {".", ".."}.intersection(below.replace("\\", "/").split("/"))


# A real store with traps.


HOLDABLE = {name: awkward for name, awkward in AWKWARD_KEYS.items() if "" not in awkward.key.split("/")}
"""The others are keys with empty segments, which a store on folders does not have."""


@pytest.fixture(scope="module")
def real() -> Iterator[S3Server]:
    with juicefs() as server:
        client = server.client()
        for bucket in ("images", "private"):
            client.create_bucket(Bucket=bucket)
        traps = (
            "secret.txt",
            "test/secret.txt",
            "image.jpg",
            "test/image.jpg",
            "avatar.png",
            "users/avatar.png",
        )
        for key in traps:
            client.put_object(Bucket="images", Key=key, Body=TRAP)
            client.put_object(Bucket="private", Key=key, Body=TRAP)
        client.put_object(Bucket="images", Key="test/1/image.jpg", Body=OBJECT)
        for name, awkward in HOLDABLE.items():
            client.put_object(Bucket="images", Key=f"public/{name}/{awkward.key}", Body=name.encode())
            for other in awkward.others:
                client.put_object(Bucket="images", Key=f"public/{name}/{other}", Body=TRAP)
        yield server


@pytest.fixture(scope="module")
def real_url(real: S3Server) -> Iterator[str]:
    text = stores(real.endpoint_url, "", real.access_key, real.secret_key).replace(
        "s3://images/", "s3://images"
    )
    with serve_in_thread(Gateway(parse_config(text, {}))) as served:
        yield served


@pytest.mark.parametrize(("name", "awkward"), HOLDABLE.items(), ids=HOLDABLE)
async def test_awkward_key_is_its_own_object(name: str, awkward: AwkwardKey, real_url: str) -> None:
    spellings = {quote(awkward.key), quote(awkward.key, safe=""), quote(awkward.key, safe="/!$&'()*+,;=:@~")}
    for client in CLIENTS:
        for spelling in spellings:
            answer = await fetch(real_url, f"/{client}/files/{name}/{spelling}")
            assert (answer.status, answer.content) == (200, name.encode())


@pytest.mark.parametrize(
    "path",
    [
        "files/../secret.txt",
        "files/%2e%2e/secret.txt",
        "files/..%2Fsecret.txt",
        "files/..%2F..%2Fprivate%2Fsecret.txt",
        "files/..%5Csecret.txt",
        "files/%252e%252e/secret.txt",
        "files/..%252Fsecret.txt",
        "files//secret.txt",
        "files/%2Fsecret.txt",
        "files//private/secret.txt",
        "tasks/1%2F..%2Fsecret/image",
        "tasks/../image",
        "tasks/%2e%2e/image",
        "tasks//image",
        "users/../avatar",
        "users/%2E/avatar",
        "users/%2F/avatar",
        "users/..%2F..%2Fprivate/avatar",
        "users/..;/avatar",
        "private/secret.txt",
        "secret.txt",
    ],
)
async def test_trap_is_never_served(path: str, real_url: str) -> None:
    for client in CLIENTS:
        answer = await fetch(real_url, f"/{client}/{path}")
        assert answer.status in (400, 404, 422)
        assert TRAP not in answer.content
        assert answer.get("content-type") == "application/problem+json"


async def test_folder_store_serves_nothing_above_its_folder(tmp_path: Path) -> None:
    (tmp_path / "objects" / "public").mkdir(parents=True)
    (tmp_path / "objects" / "public" / "a.txt").write_bytes(OBJECT)
    (tmp_path / "objects" / "secret.txt").write_bytes(TRAP)
    (tmp_path / "secret.txt").write_bytes(TRAP)
    text = """
[stores.files]
url = "file://./objects"
[[routes]]
path = "/{key:path}"
object = "files:public/{key}"
"""
    absolute = quote(str(tmp_path / "secret.txt"))
    attacks = ["../secret.txt", "..%2f..%2fsecret.txt", "%2e%2e/secret.txt", "..%5csecret.txt", absolute]
    attacks += [
        f"/{absolute}",
        quote(absolute, safe=""),
        f"file://{absolute}",
        "a.txt/../../secret.txt",
        "a.txt%00",
    ]
    with serve_in_thread(Gateway(parse_config(text, {}, name=str(tmp_path / "sluicegate.toml")))) as url:
        assert (await fetch(url, "/a.txt")).content == OBJECT
        for attack in attacks:
            answer = await fetch(url, f"/{attack}")
            assert answer.status in (400, 404)
            assert set(json.loads(answer.content)) <= {"title", "status", "detail", "request_id"}
