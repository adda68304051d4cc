"""The configuration of the README, as its user runs it: a process, a real S3 store, the real httpbin."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from tests.delivery.raw_client import Answer, fetch
from tests.servers.asgi import serve_in_thread
from tests.servers.httpbin import httpbin
from tests.servers.process import free_port
from tests.servers.s3 import S3Server, juicefs

from .config_texts import EXAMPLE
from .test_cli_serve import Served, serving

CLIENTS = ("obstore", "aiobotocore", "botocore")
IMAGE = b"\xff\xd8\xff\xe0" + os.urandom(10_000_000) + b"\xff\xd9"
SMALL = b"abcdefghijklmnopqrstuvwxyz"
SAFE_NAMES = {
    "plain": ("a.txt", 'attachment; filename="a.txt"'),
    "cjk": (
        "日本語.txt",
        "attachment; filename=\"___.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%E8%AA%9E.txt",
    ),
    "quotes": ('a".txt; x="b.txt', r'attachment; filename="a_.txt; x=_b.txt"; filename*=UTF-8'),
    "percent": (
        "a%0d%0aX-Evil: 1",
        "attachment; filename=\"a_0d_0aX-Evil: 1\"; filename*=UTF-8''a%250d%250aX-Evil%3A%201",
    ),
}


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    with juicefs() as server:
        client = server.client()
        client.create_bucket(Bucket="images")
        client.put_object(Bucket="images", Key="test/1/image.jpg", Body=IMAGE)
        client.put_object(Bucket="images", Key="test/2/image.jpg", Body=b"")
        client.put_object(
            Bucket="images",
            Key="small.txt",
            Body=SMALL,
            ContentType="text/plain; charset=utf-8",
            CacheControl="max-age=60",
            ContentLanguage="en",
            Metadata={"owner": "somebody"},
        )
        for key, _ in SAFE_NAMES.values():
            client.put_object(Bucket="images", Key=f"names/{key}", Body=SMALL)
        yield server


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with httpbin() as url:
        yield url


@pytest.fixture(scope="module", params=CLIENTS)
def served(
    request: pytest.FixtureRequest, store: S3Server, origin: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """`sluicegate serve` with the example as it stands, but for the client and the address of httpbin."""
    text = EXAMPLE.replace('client = "obstore"', f'client = "{request.param}"')
    config = tmp_path_factory.mktemp("served") / "sluicegate.toml"
    config.write_text(text.replace("http://httpbin.org", origin))
    with serving(config, env=store.environment()) as running:
        yield running


# Both endpoints.


async def test_image_is_served_byte_for_byte(served: Served) -> None:
    answer = await fetch(served.url, "/tasks/1/image")
    assert (answer.status, answer.complete) == (200, True)
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(IMAGE).digest()
    shown = {name: answer.get(name) for name in ("content-length", "content-type", "accept-ranges")}
    assert shown == {
        "content-length": str(len(IMAGE)),
        "content-type": "image/jpeg",
        "accept-ranges": "bytes",
    }
    assert str(answer.get("etag")).startswith('"')
    assert answer.get("last-modified") is not None


async def test_relayed_bytes_are_the_upstreams(served: Served) -> None:
    answer = await fetch(served.url, "/tasks/1/bytes/50000")
    assert (answer.status, len(answer.content), answer.complete) == (200, 50_000, True)
    assert answer.get("content-type") == "application/octet-stream"


def test_curl_downloads_and_resumes(served: Served, tmp_path: Path) -> None:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    out = tmp_path / "image.jpg"
    out.write_bytes(IMAGE[:1_000_000])
    command = [program, "-sS", "--noproxy", "*", "-C", "-", "-o", str(out), f"{served.url}/tasks/1/image"]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert out.read_bytes() == IMAGE


async def test_only_fields_of_the_object_leave(served: Served) -> None:
    answer = await fetch(served.url, "/files/small.txt")
    fields = dict(answer.head.fields)
    for validator in ("date", "connection", "etag", "last-modified", "x-request-id"):
        del fields[validator]
    # This store keeps no language of an object, and says `Vary: Origin`, which obstore does not tell.
    fields.pop("vary", None)
    assert fields == {
        "content-length": "26",
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "max-age=60",
        "accept-ranges": "bytes",
        "content-disposition": 'attachment; filename="small.txt"',
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("bytes=5000000-5999999", 5_000_000, 6_000_000),
        ("bytes=-1", len(IMAGE) - 1, None),
        ("bytes=-99999999", 0, None),
        ("bytes=10000000-99999999", 10_000_000, None),
        ("bytes=0-9,5-19", 0, 20),
    ],
    ids=["one-byte", "all", "middle", "last-byte", "long-suffix", "past-the-end", "overlapping"],
)
async def test_one_range_of_the_image(asked: str, start: int, stop: int | None, served: Served) -> None:
    answer = await fetch(served.url, "/tasks/1/image", fields=[("Range", asked)])
    stop = len(IMAGE) if stop is None else stop
    assert (answer.status, answer.content == IMAGE[start:stop]) == (206, True)
    assert answer.get("content-range") == f"bytes {start}-{stop - 1}/{len(IMAGE)}"
    assert answer.get("content-type") == "image/jpeg"


async def test_several_ranges_of_the_image(served: Served) -> None:
    answer = await fetch(served.url, "/tasks/1/image", fields=[("Range", "bytes=0-99,5000000-5000099,-100")])
    assert (answer.status, answer.complete) == (206, True)
    head = f"Content-Type: {answer.get('content-type')}\r\n\r\n".encode()
    parts = message_from_bytes(head + answer.content, policy=policy.HTTP).get_payload()
    assert isinstance(parts, list)
    assert [
        (part["Content-Range"], part["Content-Type"], part.get_payload(decode=True)) for part in parts
    ] == [
        (f"bytes 0-99/{len(IMAGE)}", "image/jpeg", IMAGE[:100]),
        (f"bytes 5000000-5000099/{len(IMAGE)}", "image/jpeg", IMAGE[5_000_000:5_000_100]),
        (f"bytes {len(IMAGE) - 100}-{len(IMAGE) - 1}/{len(IMAGE)}", "image/jpeg", IMAGE[-100:]),
    ]


@pytest.mark.parametrize(
    "asked",
    ["bytes", "bytes=", "bytes=5-1", "lines=0-9", "bytes=a-b", "bytes=0-9;", "\xff\x00".strip("\x00")],
    ids=["no-value", "empty", "backwards", "other-unit", "letters", "semicolon", "latin"],
)
async def test_range_that_makes_no_sense_is_ignored(asked: str, served: Served) -> None:
    answer = await fetch(served.url, "/files/small.txt", fields=[("Range", asked)])
    assert (answer.status, answer.content) == (200, SMALL)


async def test_range_behind_the_end_is_416(served: Served) -> None:
    answer = await fetch(served.url, "/tasks/1/image", fields=[("Range", f"bytes={len(IMAGE)}-")])
    assert (answer.status, answer.get("content-range")) == (416, f"bytes */{len(IMAGE)}")
    assert answer.get("content-type") == "application/problem+json"
    assert answer.get("etag") is None


async def test_empty_object_is_served_with_and_without_range(served: Served) -> None:
    for asked in ("none", "bytes=0-", "bytes=0-0", "bytes=-5"):
        answer = await fetch(served.url, "/tasks/2/image", fields=[("Range", asked)])
        assert (answer.status, answer.content, answer.get("content-length")) == (200, b"", "0")
    behind = await fetch(served.url, "/tasks/2/image", fields=[("Range", "bytes=5-")])
    assert (behind.status, behind.get("content-range")) == (416, "bytes */0")


async def test_conditions_of_the_image(served: Served) -> None:
    url, path = served.url, "/tasks/1/image"
    head = await fetch(url, path, "HEAD")
    etag, modified = str(head.get("etag")), str(head.get("last-modified"))
    unchanged = await fetch(url, path, fields=[("If-None-Match", etag)])
    since = await fetch(url, path, fields=[("If-Modified-Since", modified)])
    failed = await fetch(url, path, fields=[("If-Match", '"other"')])
    before = await fetch(url, path, fields=[("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT")])
    part = await fetch(url, path, fields=[("Range", "bytes=0-9"), ("If-Range", etag)])
    whole = await fetch(url, path, fields=[("Range", "bytes=0-9"), ("If-Range", '"other"')])
    both = await fetch(url, path, fields=[("Range", "bytes=0-9"), ("If-None-Match", f'"a", W/{etag}')])
    assert [answer.status for answer in (unchanged, since, failed, before, part, whole, both)] == [
        *(304, 304, 412, 412, 206, 200, 304)
    ]
    for answer in (unchanged, since, both):
        assert (answer.content, answer.get("etag"), answer.get("last-modified")) == (b"", etag, modified)
        assert answer.get("content-length") is None
    assert failed.get("etag") is None
    assert part.content == IMAGE[:10]
    assert whole.content == IMAGE


async def test_head_has_the_fields_of_get_and_no_body(served: Served) -> None:
    for path in ("/tasks/1/image", "/files/small.txt", "/tasks/2/image"):
        got, head = await fetch(served.url, path), await fetch(served.url, path, "HEAD")
        ranged = await fetch(served.url, path, "HEAD", fields=[("Range", "bytes=0-0")])
        assert (head.status, head.content, ranged.status) == (200, b"", 200)
        own = {"date", "x-request-id"}
        shown = [
            [field for field in answer.head.fields if field[0] not in own] for answer in (got, head, ranged)
        ]
        assert shown[0] == shown[1] == shown[2]


async def test_methods_are_the_three(served: Served) -> None:
    for path in ("/tasks/1/image", "/tasks/1/bytes/5", "/files/small.txt"):
        options = await fetch(served.url, path, "OPTIONS")
        assert (options.status, options.content, options.get("allow")) == (204, b"", "GET, HEAD, OPTIONS")
        for method in ("PUT", "POST", "DELETE"):
            refused = await fetch(served.url, path, method, body=b"overwritten")
            assert (refused.status, refused.get("allow")) == (405, "GET, HEAD, OPTIONS")
    assert (await fetch(served.url, "/files/small.txt")).content == SMALL


@pytest.mark.parametrize(("key", "disposition"), SAFE_NAMES.values(), ids=SAFE_NAMES)
async def test_file_name_of_a_key_cannot_break_the_answer(key: str, disposition: str, served: Served) -> None:
    url = f"{served.url}/files/names/{quote(key, safe='')}"
    answer = httpx.get(url, trust_env=False)
    assert (answer.status_code, answer.content) == (200, SMALL)
    assert answer.headers["content-disposition"].startswith(disposition)
    assert "x-evil" not in answer.headers


async def test_bad_parameter_and_missing_object_are_clear(served: Served) -> None:
    bad = await fetch(served.url, "/tasks/abc/image")
    assert (bad.status, json.loads(bad.content)["title"]) == (422, "Bad parameter")
    missing = await fetch(served.url, "/tasks/3/image", fields=[("X-Request-Id", "trace-1")])
    assert_problem(missing, 404, "Not found")
    assert missing.get("x-request-id") == "trace-1"


async def test_nothing_of_the_servers_is_shown(served: Served) -> None:
    for path in ("/tasks/1/image", "/healthz", "/nope", "/docs"):
        assert (await fetch(served.url, path, "HEAD")).get("server") is None


# Failures.


def assert_problem(answer: Answer, status: int, title: str) -> None:
    """A failure is problem details with a request id, and says nothing else."""
    problem = json.loads(answer.content)
    assert problem == {"title": title, "status": status, "request_id": answer.get("x-request-id")}
    assert (answer.status, answer.complete) == (status, True)
    assert answer.get("content-type") == "application/problem+json"
    assert answer.get("cache-control") == "no-store"
    allowed = {
        "date",
        "server",
        "connection",
        "content-type",
        "content-length",
        "cache-control",
        "x-content-type-options",
        "x-request-id",
    }
    assert {name for name, _ in answer.head.fields} <= allowed | {"retry-after"}


def failing(store: S3Server, client: str, **changes: str) -> str:
    settings = {
        "url": "s3://images",
        "endpoint_url": store.endpoint_url,
        "region": store.region,
        "access_key_id": store.access_key,
        "secret_access_key": store.secret_key,
        "client": client,
        **changes,
    }
    lines = [f'{key} = "{value}"' for key, value in settings.items()]
    return "\n".join(
        ["[stores.images]", *lines, '[[routes]]\npath = "/{key:path}"\nobject = "images:{key}"\n']
    )


@pytest.mark.parametrize("client", CLIENTS)
async def test_wrong_credentials_are_404_or_403_by_setting(
    client: str, store: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    text = failing(store, client, secret_access_key="wrong-7f3a")
    for more, status, title in (
        ("", 404, "Not found"),
        ("[gateway]\ndenied_status = 403\n", 403, "Forbidden"),
    ):
        with serve_in_thread(Gateway(parse_config(text + more, {}))) as url:
            for key in ("small.txt", "no-such-key"):
                assert_problem(await fetch(url, f"/{key}"), status, title)
                assert (await fetch(url, f"/{key}", "HEAD")).status == status
    # The operator is told what the client is not.
    assert "Denied" in caplog.text
    assert "7f3a" not in caplog.text


@pytest.mark.parametrize("client", CLIENTS)
async def test_missing_bucket_is_404(client: str, store: S3Server) -> None:
    with serve_in_thread(Gateway(parse_config(failing(store, client, url="s3://no-such-bucket"), {}))) as url:
        assert_problem(await fetch(url, "/small.txt"), 404, "Not found")
        assert_problem(await fetch(url, "/small.txt", fields=[("Range", "bytes=0-4")]), 404, "Not found")


@pytest.mark.parametrize("client", CLIENTS)
async def test_unreachable_store_is_502_and_the_gateway_lives_on(client: str, store: S3Server) -> None:
    text = failing(store, client, endpoint_url=f"http://127.0.0.1:{free_port()}")
    with serve_in_thread(Gateway(parse_config(text, {}))) as url:
        assert_problem(await fetch(url, "/small.txt"), 502, "The origin is unavailable")
        assert (await fetch(url, "/readyz")).status == 200
