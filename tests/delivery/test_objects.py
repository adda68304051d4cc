"""`ObjectResponse` over sockets: every kind of request, on every kind of store, under every server."""

import asyncio
import json
import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from sluicegate.http.ranges import MAX_RANGES

from .apps import BUCKET
from .conftest import Server
from .raw_client import Answer, fetch

SOURCES = ("memory", "store-obstore", "store-aiobotocore", "store-botocore")
KEY = "objects/a b+(1)'日本.txt"
PATH = "objects/a%20b+(1)'%E6%97%A5%E6%9C%AC.txt"
EMPTY = "objects/empty.txt"
CONTENT = bytes(range(256)) * 400
SIZE = len(CONTENT)

FieldsMade = dict[str, str]


@dataclass(frozen=True, slots=True)
class Version:
    """What the object said of itself."""

    etag: str
    modified: str

    def shifted(self, seconds: int) -> str:
        """Its date, some seconds earlier or later."""
        moved = parsedate_to_datetime(self.modified) + timedelta(seconds=seconds)
        return format_datetime(moved, usegmt=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A request for the object and what must come of it: `spans` of the content, `None` for a problem."""

    fields: dict[str, str]
    status: int
    spans: tuple[tuple[int, int], ...] | None
    method: str = "GET"


ALL = ((0, SIZE),)
NOTHING: tuple[tuple[int, int], ...] = ()
MANY = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 4 * MAX_RANGES, 4))

# {etag}, {modified}, {earlier} and {later} are those of the object's version.
ROWS = {
    "get": Row({}, 200, ALL),
    "head": Row({}, 200, NOTHING, "HEAD"),
    "head with range": Row({"range": "bytes=0-9"}, 200, NOTHING, "HEAD"),
    "first byte": Row({"range": "bytes=0-0"}, 206, ((0, 1),)),
    "first ten": Row({"range": "bytes=0-9"}, 206, ((0, 10),)),
    "from the middle": Row({"range": "bytes=50000-"}, 206, ((50_000, SIZE),)),
    "from the start": Row({"range": "bytes=0-"}, 206, ALL),
    "last byte": Row({"range": "bytes=-1"}, 206, ((SIZE - 1, SIZE),)),
    "suffix longer than all": Row({"range": "bytes=-999999999"}, 206, ALL),
    "end past the end": Row({"range": "bytes=102390-999999999"}, 206, ((102_390, SIZE),)),
    "unit in capitals": Row({"range": "BYTES=0-9"}, 206, ((0, 10),)),
    "start past the end": Row({"range": f"bytes={SIZE}-"}, 416, None),
    "suffix of nothing": Row({"range": "bytes=-0"}, 416, None),
    "unknown unit": Row({"range": "items=0-9"}, 200, ALL),
    "malformed range": Row({"range": "bytes=9-0"}, 200, ALL),
    "no range at all": Row({"range": "bytes="}, 200, ALL),
    "letters": Row({"range": "bytes=a-b"}, 200, ALL),
    "too many ranges": Row({"range": MANY + ",9999-"}, 200, ALL),
    "as many ranges as allowed": Row(
        {"range": MANY}, 206, tuple((n, n + 1) for n in range(0, 4 * MAX_RANGES, 4))
    ),
    "two ranges": Row({"range": "bytes=0-9,100-109"}, 206, ((0, 10), (100, 110))),
    "two ranges backwards": Row({"range": "bytes=100-109, 0-9"}, 206, ((100, 110), (0, 10))),
    "ranges that touch": Row({"range": "bytes=0-9,10-19"}, 206, ((0, 20),)),
    "ranges that overlap": Row({"range": "bytes=0-9,5-19"}, 206, ((0, 20),)),
    "one of two satisfiable": Row({"range": "bytes=0-9,999999999-"}, 206, ((0, 10),)),
    "none of two satisfiable": Row({"range": "bytes=999999990-,999999999-"}, 416, None),
    "ranges that amplify": Row({"range": "bytes=0-,0-,0-"}, 200, ALL),
    "none match, this": Row({"if-none-match": "{etag}"}, 304, NOTHING),
    "none match, this weakly": Row({"if-none-match": "W/{etag}"}, 304, NOTHING),
    "none match, in a list": Row({"if-none-match": '"x", {etag}, "y"'}, 304, NOTHING),
    "none match, any": Row({"if-none-match": "*"}, 304, NOTHING),
    "none match, another": Row({"if-none-match": '"x"'}, 200, ALL),
    "none match, malformed": Row({"if-none-match": "x y"}, 200, ALL),
    "none match, of a head": Row({"if-none-match": "{etag}"}, 304, NOTHING, "HEAD"),
    "none match, of a range": Row({"if-none-match": "{etag}", "range": "bytes=0-9"}, 304, NOTHING),
    "none match, of two ranges": Row({"if-none-match": "{etag}", "range": "bytes=0-9,20-29"}, 304, NOTHING),
    "modified since, not": Row({"if-modified-since": "{modified}"}, 304, NOTHING),
    "modified since, is": Row({"if-modified-since": "{earlier}"}, 200, ALL),
    "modified since, malformed": Row({"if-modified-since": "yesterday"}, 200, ALL),
    "none match beats modified since": Row(
        {"if-none-match": '"x"', "if-modified-since": "{modified}"}, 200, ALL
    ),
    "match, this": Row({"if-match": "{etag}"}, 200, ALL),
    "match, any": Row({"if-match": "*"}, 200, ALL),
    "match, in a list": Row({"if-match": '"x", {etag}'}, 200, ALL),
    "match, another": Row({"if-match": '"x"'}, 412, None),
    "match, weakly": Row({"if-match": "W/{etag}"}, 412, None),
    "match, malformed": Row({"if-match": "x y"}, 412, None),
    "match, of a range": Row({"if-match": "{etag}", "range": "bytes=0-9"}, 206, ((0, 10),)),
    "match, another of a range": Row({"if-match": '"x"', "range": "bytes=0-9"}, 412, None),
    "match, another of a bad range": Row({"if-match": '"x"', "range": "bytes=999999999-"}, 412, None),
    "match beats none match": Row({"if-match": '"x"', "if-none-match": "{etag}"}, 412, None),
    "unmodified since, is": Row({"if-unmodified-since": "{modified}"}, 200, ALL),
    "unmodified since, not": Row({"if-unmodified-since": "{earlier}"}, 412, None),
    "if range, this": Row({"if-range": "{etag}", "range": "bytes=0-9"}, 206, ((0, 10),)),
    "if range, another": Row({"if-range": '"x"', "range": "bytes=0-9"}, 200, ALL),
    "if range, weakly": Row({"if-range": "W/{etag}", "range": "bytes=0-9"}, 200, ALL),
    "if range, earlier": Row({"if-range": "{earlier}", "range": "bytes=0-9"}, 200, ALL),
    "if range, malformed": Row({"if-range": "x y", "range": "bytes=0-9"}, 200, ALL),
    "if range, another of a bad range": Row({"if-range": '"x"', "range": "bytes=999999999-"}, 200, ALL),
    "if range, another of two ranges": Row({"if-range": '"x"', "range": "bytes=0-9,20-29"}, 200, ALL),
    "if range without a range": Row({"if-range": '"x"'}, 200, ALL),
    "post": Row({}, 405, None, "POST"),
    "put": Row({}, 405, None, "PUT"),
    "delete": Row({}, 405, None, "DELETE"),
    "options": Row({}, 204, NOTHING, "OPTIONS"),
}


@pytest.fixture(scope="module")
def objects(s3: Any) -> None:
    """The objects, in the store; `_stored` puts them into memory too."""
    for key, content in ((KEY, CONTENT), (EMPTY, b"")):
        s3.put_object(
            Bucket=BUCKET, Key=key, Body=content, ContentType="text/x-own", CacheControl="max-age=7"
        )


async def _version(server: Server, source: str) -> Version:
    if source == "memory":
        await fetch(server.url, f"/memory/{PATH}", "PUT", body=CONTENT)
        await fetch(server.url, f"/memory/{EMPTY}", "PUT")
    answer = await server.fetch(f"/starlette/{source}/{PATH}", "HEAD")
    etag, modified = answer.get("etag"), answer.get("last-modified")
    assert etag is not None
    assert modified is not None
    return Version(etag, modified)


def _filled(fields: dict[str, str], version: Version) -> dict[str, str]:
    values = {
        "etag": version.etag,
        "modified": version.modified,
        "earlier": version.shifted(-3600),
        "later": version.shifted(3600),
    }
    return {name.replace("-", "_"): value.format(**values) for name, value in fields.items()}


def parts(answer: Answer) -> list[tuple[tuple[int, int], bytes]]:
    """The spans of a 206 and their bytes, of one range or of several."""
    kind = answer.get("content-type") or ""
    boundary = re.fullmatch("multipart/byteranges; boundary=([0-9a-z]+)", kind)
    if boundary is None:
        return [(_span(answer.get("content-range")), answer.content)]
    opening, *pieces, closing = answer.content.split(b"\r\n--" + boundary[1].encode())
    assert (opening, closing) == (b"", b"--\r\n")
    found = []
    for piece in pieces:
        head, _, content = piece.partition(b"\r\n\r\n")
        place = re.search(rb"Content-Range: (.*)", head)
        assert place is not None
        found.append((_span(place[1].decode().strip()), content))
    return found


def _span(value: str | None) -> tuple[int, int]:
    matched = re.fullmatch(rf"bytes ([0-9]+)-([0-9]+)/{SIZE}", value or "")
    assert matched is not None, value
    return int(matched[1]), int(matched[2]) + 1


def _check(row: Row, answer: Answer, version: Version) -> None:
    assert (answer.status, answer.complete) == (row.status, True)
    if row.spans is None:
        problem = json.loads(answer.content)
        assert problem["status"] == row.status
        assert answer.get("content-type") == "application/problem+json"
        assert answer.get("cache-control") == "no-store"
        assert answer.get("etag") is None
    elif row.status == 206:
        found = parts(answer)
        assert found == [(span, CONTENT[slice(*span)]) for span in row.spans]
    else:
        assert answer.content == b"".join(CONTENT[slice(*span)] for span in row.spans)
    if row.status in (200, 206):
        assert answer.get("content-length") == str(len(answer.content) if row.method == "GET" else SIZE)
        assert answer.get("accept-ranges") == "bytes"
        assert (answer.get("content-range") is not None) == (row.status == 206 and len(row.spans or ()) == 1)
    if row.status in (200, 206, 304):
        assert (answer.get("etag"), answer.get("last-modified")) == (version.etag, version.modified)
    if row.status == 304:
        assert (answer.get("content-type"), answer.get("content-length")) == (None, None)
    if row.status == 416:
        assert answer.get("content-range") == f"bytes */{SIZE}"
    if row.status == 405 or row.method == "OPTIONS":
        allowed = re.split(", *", answer.get("allow") or "")
        assert sorted(allowed) == ["GET", "HEAD", "OPTIONS"]


@pytest.mark.usefixtures("objects")
@pytest.mark.parametrize("source", SOURCES)
async def test_every_request_gets_the_answer_that_http_has_for_it(server: Server, source: str) -> None:
    version = await _version(server, source)
    own = source != "memory"  # which keeps no fields of an object

    async def one(name: str) -> None:
        row = ROWS[name]
        # As an ASGI application of its own: the routers of Starlette answer other methods themselves.
        answer = await server.fetch(f"/asgi/{source}/{PATH}", row.method, **_filled(row.fields, version))
        try:
            _check(row, answer, version)
            if own and row.status in (200, 206) and "multipart" not in (answer.get("content-type") or ""):
                described = (answer.get("content-type"), answer.get("cache-control"))
                assert described == ("text/x-own", "max-age=7")
        except AssertionError as exc:
            raise AssertionError(f"{name}: {answer.head}: {exc}") from exc

    for names in _in_groups(list(ROWS), 10):
        await asyncio.gather(*map(one, names))


def _in_groups(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


EMPTY_ROWS = {
    "get": ("GET", None, 200),
    "head": ("HEAD", None, 200),
    "from the start": ("GET", "bytes=0-", 200),
    "first ten": ("GET", "bytes=0-9", 200),
    "suffix": ("GET", "bytes=-5", 200),
    "past the end": ("GET", "bytes=5-9", 416),
    "two ranges": ("GET", "bytes=0-1,3-4", 200),
}


@pytest.mark.usefixtures("objects")
@pytest.mark.parametrize("source", SOURCES)
async def test_object_of_no_bytes_is_served_with_and_without_ranges(server: Server, source: str) -> None:
    await _version(server, source)
    for name, (method, value, status) in EMPTY_ROWS.items():
        fields = {} if value is None else {"range": value}
        answer = await server.fetch(f"/asgi/{source}/{EMPTY}", method, **fields)
        assert (answer.status, answer.complete) == (status, True), name
        if status == 200:
            assert (answer.content, answer.get("content-length")) == (b"", "0"), name
        else:
            assert answer.get("content-range") == "bytes */0", name


@pytest.mark.usefixtures("objects")
async def test_provider_fields_stay_with_the_provider(server: Server) -> None:
    for source in SOURCES[1:]:
        answer = await server.fetch(f"/asgi/{source}/{PATH}")
        assert [name for name, _ in answer.head.fields if name.startswith("x-amz")] == []


async def test_second_request_on_a_connection_is_served(server: Server) -> None:
    # curl asks both on one connection, if the first answer lets it.
    name = uuid.uuid4().hex
    url = f"{server.url}/scripted/whole?id={name}"
    command = ("curl", "-sS", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", url, url)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.split() == [b"1", b"0"]
    assert (await server.stats(name))["closed"] == 2
