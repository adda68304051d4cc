"""Another service's answers, relayed: the real httpbin behind the gateway, over real sockets."""

import gzip
import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from tests.delivery.raw_client import Answer, fetch
from tests.servers.asgi import serve_in_thread
from tests.servers.httpbin import httpbin
from tests.servers.process import free_port

LETTERS = b"".join(bytes([97 + index % 26]) for index in range(1024))
"""What httpbin serves as /range/1024."""


def route(path: str, upstream: str, *more: str) -> str:
    return "\n".join(["[[routes]]", f'path = "{path}"', f'upstream = "{upstream}"', *more, ""])


def config(origin: str) -> str:
    elsewhere = quote("http://127.0.0.1:1/secret-place", safe="")
    other_scheme = quote("file:///etc/passwd", safe="")
    return "\n".join(
        [
            route("/stream/{size:int}", f"{origin}/stream-bytes/{{size}}?seed=7"),
            route("/range/{size:int}", f"{origin}/range/{{size}}"),
            route("/etag/{tag}", f"{origin}/etag/{{tag}}"),
            route("/image", f"{origin}/image/jpeg"),
            route("/gzip", f"{origin}/gzip"),
            route("/deflate", f"{origin}/deflate"),
            route("/status/{status:int}", f"{origin}/status/{{status}}"),
            route("/slow/{seconds:int}", f"{origin}/delay/{{seconds}}", "read_timeout = 0.5"),
            route("/patient/{seconds:int}", f"{origin}/delay/{{seconds}}", "read_timeout = 10"),
            route("/drip", f"{origin}/drip?duration=4&numbytes=5&delay=0", "read_timeout = 3"),
            route("/here", f"{origin}/redirect-to?url=%2Frange%2F1024"),
            route("/elsewhere", f"{origin}/redirect-to?url={elsewhere}"),
            route("/file", f"{origin}/redirect-to?url={other_scheme}"),
            route("/same-name", f"{origin}/redirect-to?url=%2F%2F127.0.0.1:1%2Frange%2F5"),
            route("/round/{times:int}", f"{origin}/relative-redirect/{{times}}"),
            route("/absolute/{times:int}", f"{origin}/absolute-redirect/{{times}}"),
            route("/cached", f"{origin}/cache/60"),
            route(
                "/typed", f"{origin}/range/1024", 'media_type = "text/letters"', 'disposition = "attachment"'
            ),
            route(
                "/provider", f"{origin}/response-headers?x-amz-request-id=1&Set-Cookie=a%3Db&Server=s&Via=v"
            ),
            route("/headers", f"{origin}/headers", '[routes.request_headers]\nX-Api-Key = "key-7f3a"'),
            route("/unreachable", f"http://127.0.0.1:{free_port()}/x"),
        ]
    )


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with httpbin() as url:
        yield url


@pytest.fixture(scope="module")
def url(origin: str) -> Iterator[str]:
    with serve_in_thread(Gateway(parse_config(config(origin), {}))) as served:
        yield served


def problem_title(answer: Answer) -> object:
    """The title of problem details, which are all that a failure may say."""
    problem = json.loads(answer.content)
    assert answer.get("content-type") == "application/problem+json"
    assert answer.get("cache-control") == "no-store"
    assert set(problem) == {"title", "status", "request_id"}
    assert problem["status"] == answer.status
    return problem["title"]


# Whole answers.


async def test_answer_without_a_length_is_relayed_without_one(url: str, origin: str) -> None:
    answer = await fetch(url, "/stream/100000")
    direct = httpx.get(f"{origin}/stream-bytes/100000?seed=7", trust_env=False)
    assert (answer.status, answer.complete, answer.content == direct.content) == (200, True, True)
    assert (answer.get("transfer-encoding"), answer.get("content-length")) == ("chunked", None)
    assert answer.get("content-type") == "application/octet-stream"
    assert answer.get("accept-ranges") is None


async def test_answer_without_ranges_is_whole_whatever_range_is_asked_for(url: str) -> None:
    for asked in ("bytes=0-9", "bytes=-5", "bytes=0-1,5-6"):
        answer = await fetch(url, "/stream/1000", fields=[("Range", asked)])
        assert (answer.status, len(answer.content), answer.complete) == (200, 1000, True)


async def test_head_has_the_fields_of_get_and_no_body(url: str) -> None:
    for path in ("/range/1024", "/image", "/gzip", "/etag/v1"):
        got, head = await fetch(url, path), await fetch(url, path, "HEAD")
        assert (head.status, head.content, head.complete) == (200, b"", True)
        # httpbin shows the method in these bodies, so that their lengths differ.
        changing = {"date", "last-modified", "x-request-id"} | (
            {"content-length"} if path in ("/gzip", "/etag/v1") else set()
        )
        shown = [
            [field for field in answer.head.fields if field[0] not in changing] for answer in (got, head)
        ]
        assert shown[0] == shown[1]


async def test_type_length_and_validators_are_the_upstreams(url: str) -> None:
    answer = await fetch(url, "/range/1024")
    assert (answer.status, answer.content) == (200, LETTERS)
    assert [answer.get(name) for name in ("content-length", "content-type", "accept-ranges")] == [
        "1024",
        "application/octet-stream",
        "bytes",
    ]
    assert str(answer.get("etag")).strip('"') == "range1024"
    cached = await fetch(url, "/cached")
    assert cached.get("cache-control") == "public, max-age=60"


async def test_route_overrides_what_the_upstream_says(url: str) -> None:
    answer = await fetch(url, "/typed")
    assert answer.get("content-type") == "text/letters"
    assert answer.get("content-disposition") == 'attachment; filename="1024"'


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_coded_body_is_relayed_in_its_coding_with_its_length(coding: str, url: str) -> None:
    for accepted in ("gzip, deflate", "identity"):
        answer = await fetch(url, f"/{coding}", fields=[("Accept-Encoding", accepted)])
        assert (answer.status, answer.complete) == (200, True)
        assert answer.get("content-encoding") == coding
        assert answer.get("content-length") == str(len(answer.content))
    if coding == "gzip":
        assert json.loads(gzip.decompress(answer.content))["gzipped"] is True


# Ranges and conditions.


@pytest.mark.parametrize(
    ("asked", "place", "content"),
    [
        ("bytes=0-9", "bytes 0-9/1024", LETTERS[:10]),
        ("bytes=0-0", "bytes 0-0/1024", LETTERS[:1]),
        ("bytes=1000-", "bytes 1000-1023/1024", LETTERS[1000:]),
        ("bytes=-24", "bytes 1000-1023/1024", LETTERS[1000:]),
        ("bytes=0-4,3-9", "bytes 0-9/1024", LETTERS[:10]),
    ],
    ids=["first", "one-byte", "open", "suffix", "overlapping"],
)
async def test_range_is_the_upstreams(asked: str, place: str, content: bytes, url: str) -> None:
    answer = await fetch(url, "/range/1024", fields=[("Range", asked)])
    assert (answer.status, answer.get("content-range"), answer.content) == (206, place, content)
    assert answer.get("content-length") == str(len(content))


async def test_several_ranges_are_one_multipart_answer(url: str) -> None:
    answer = await fetch(url, "/range/1024", fields=[("Range", "bytes=0-4,100-104,-5")])
    assert (answer.status, answer.complete) == (206, True)
    assert str(answer.get("content-type")).startswith("multipart/byteranges; boundary=")
    for place, content in (("0-4", LETTERS[:5]), ("100-104", LETTERS[100:105]), ("1019-1023", LETTERS[-5:])):
        assert f"content-range: bytes {place}/1024\r\n\r\n".encode() + content in answer.content.replace(
            b"Content-Range", b"content-range"
        )


async def test_range_past_the_end_is_416(url: str) -> None:
    answer = await fetch(url, "/range/1024", fields=[("Range", "bytes=2000-")])
    assert (answer.status, answer.get("content-range")) == (416, "bytes */1024")
    assert problem_title(answer) == "Requested Range Not Satisfiable"


async def test_if_range_decides_between_part_and_whole(url: str) -> None:
    etag = str((await fetch(url, "/range/1024")).get("etag"))
    same = await fetch(url, "/range/1024", fields=[("Range", "bytes=0-9"), ("If-Range", etag)])
    other = await fetch(url, "/range/1024", fields=[("Range", "bytes=0-9"), ("If-Range", '"other"')])
    assert (same.status, same.content) == (206, LETTERS[:10])
    assert (other.status, other.content) == (200, LETTERS)


async def test_conditions_are_evaluated(url: str) -> None:
    unchanged = await fetch(url, "/etag/v1", fields=[("If-None-Match", '"v1"')])
    changed = await fetch(url, "/etag/v1", fields=[("If-None-Match", '"v0"')])
    matching = await fetch(url, "/etag/v1", fields=[("If-Match", '"v1"')])
    failed = await fetch(url, "/etag/v1", fields=[("If-Match", '"v0"')])
    assert (unchanged.status, unchanged.content, unchanged.get("etag")) == (304, b"", '"v1"')
    assert unchanged.get("content-length") is None
    assert (changed.status, matching.status, failed.status) == (200, 200, 412)
    assert problem_title(failed) == "Precondition Failed"


# What goes to the upstream, and what comes back.


async def test_safe_fields_are_forwarded_and_credentials_are_not(url: str) -> None:
    sent = [
        ("Accept", "image/webp"),
        ("Accept-Language", "de"),
        ("Authorization", "Bearer client-7f3a"),
        ("Cookie", "session=client-7f3a"),
        ("Proxy-Authorization", "Basic client-7f3a"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Api-Key", "the client's"),
        ("User-Agent", "tests"),
    ]
    answer = await fetch(url, "/headers", fields=sent)
    seen = json.loads(answer.content)["headers"]
    assert seen["Host"].startswith("127.0.0.1:")
    del seen["Host"]
    assert seen == {
        "Accept": "image/webp",
        "Accept-Language": "de",
        "Accept-Encoding": "identity",
        "X-Api-Key": "key-7f3a",
    }


async def test_fields_of_the_provider_stay_with_the_provider(url: str) -> None:
    answer = await fetch(url, "/provider")
    names = {name for name, _ in answer.head.fields}
    assert answer.status == 200
    assert names.isdisjoint({"x-amz-request-id", "set-cookie", "via", "access-control-allow-origin"})
    assert answer.head.all("server") == ["uvicorn"]


# Failures.


@pytest.mark.parametrize(
    ("theirs", "ours", "title"),
    [
        (404, 404, "Not found"),
        (410, 404, "Not found"),
        (401, 404, "Not found"),
        (403, 404, "Not found"),
        (400, 502, "The origin gave a bad answer"),
        (405, 502, "The origin gave a bad answer"),
        (418, 502, "The origin gave a bad answer"),
        (204, 502, "The origin gave a bad answer"),
        (304, 502, "The origin gave a bad answer"),
        (408, 504, "The origin did not answer in time"),
        (504, 504, "The origin did not answer in time"),
        (429, 503, "Busy, try again later"),
        (503, 503, "Busy, try again later"),
        (500, 502, "The origin is unavailable"),
        (502, 502, "The origin is unavailable"),
        (599, 502, "The origin is unavailable"),
    ],
)
async def test_status_of_the_upstream_becomes_one_of_ours(
    theirs: int, ours: int, title: str, url: str
) -> None:
    for method in ("GET", "HEAD"):
        answer = await fetch(url, f"/status/{theirs}", method)
        assert answer.status == ours
        assert (answer.get("retry-after") is not None) == (ours == 503)
    assert problem_title(await fetch(url, f"/status/{theirs}")) == title


async def test_upstream_that_is_too_slow_is_504(url: str) -> None:
    # What waits for the answer all the same gets it, and no 504.
    answer = await fetch(url, "/slow/10")
    assert (answer.status, problem_title(answer)) == (504, "The origin did not answer in time")


async def test_timeout_is_between_bytes_and_not_on_the_whole(url: str) -> None:
    # The last byte comes 3.2 s after the first.
    assert (await fetch(url, "/drip")).content == b"*****"
    assert (await fetch(url, "/patient/1")).status == 200


async def test_redirect_to_the_same_host_is_followed(url: str) -> None:
    assert (await fetch(url, "/here")).content == LETTERS
    part = await fetch(url, "/here", fields=[("Range", "bytes=-4")])
    assert (part.status, part.content) == (206, LETTERS[-4:])
    assert (await fetch(url, "/round/3")).status == 200
    assert (await fetch(url, "/absolute/2")).status == 200


@pytest.mark.parametrize("path", ["/elsewhere", "/file", "/same-name", "/round/9"])
async def test_redirect_elsewhere_or_for_ever_is_502(path: str, url: str) -> None:
    answer = await fetch(url, path)
    assert (answer.status, problem_title(answer)) == (502, "The origin gave a bad answer")
    assert answer.get("location") is None


async def test_upstream_that_is_gone_is_502(url: str) -> None:
    answer = await fetch(url, "/unreachable")
    assert (answer.status, problem_title(answer)) == (502, "The origin is unavailable")
