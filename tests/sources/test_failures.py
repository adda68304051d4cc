"""What goes wrong at an origin, byte by byte, and what each source makes of it."""

import asyncio
import socket
from dataclasses import dataclass, field

import pytest

from sluicegate import OpenRequest, SourceError
from sluicegate.errors import BadAnswer, BrokenBody, Denied, NotFound, OriginTimeout, Throttled, Unavailable
from sluicegate.sources.opening import Client, store_source
from tests.conftest import BUCKET
from tests.servers.s3 import S3Server
from tests.sources.raw_origin import CLOSE, RESET, STALL, Answer, answer, raw_origin, served
from tests.sources.stores import CLIENTS, KINDS, Kind, content_of, drain, found, options_for, source_at

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code></Error>"
PAGE = b"<html><body>nginx<br></body></html>"

PATIENCE = 10.0
"""A `read_timeout` in seconds for origins that say something, however busy the machine is."""

HASTE = 0.5
"""A `read_timeout` in seconds for those that never say a word."""


@dataclass(frozen=True)
class Case:
    """An answer, the failure that it is, the kinds of source that see another one in it, and its time."""

    answer: Answer
    expected: type[SourceError]
    but: dict[Kind, type[SourceError]] = field(default_factory=dict)
    read_timeout: float = PATIENCE


BOTOCORE_SEES_A_BREAK: dict[Kind, type[SourceError]] = {"botocore": Unavailable}
"""http.client ends the connection over a bad answer as over none, and botocore tells no more than that."""

OPENING = {
    "closes": Case((CLOSE,), Unavailable),
    "resets": Case((RESET,), Unavailable),
    "stalls": Case((STALL,), OriginTimeout, read_timeout=HASTE),
    "stalls-in-the-header": Case(
        (b"HTTP/1.1 200 OK\r\nContent-Le", STALL), OriginTimeout, read_timeout=HASTE
    ),
    # http.client takes the end of the connection for the end of the header, and there is no length then.
    "closes-in-the-header": Case(
        (b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE), Unavailable, {"botocore": BadAnswer}
    ),
    "garbage": Case((b"\x00\x01 what is this\r\n\r\n", CLOSE), BadAnswer, BOTOCORE_SEES_A_BREAK),
    "http-0.9": Case((b"hello", CLOSE), BadAnswer, BOTOCORE_SEES_A_BREAK),
    "two-lengths": Case(
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello", STALL), BadAnswer
    ),
    "negative-length": Case((answer("200 OK", b"hello", content_length="-5"), STALL), BadAnswer),
    "no-content": Case((answer("204 No Content", content_length=None),), BadAnswer),
    "bad-request": Case((answer("400 Bad Request", PAGE),), BadAnswer),
    "unauthorized": Case((answer("401 Unauthorized", PAGE),), Denied),
    "forbidden": Case((answer("403 Forbidden", DENIED),), Denied),
    "forbidden-page": Case((answer("403 Forbidden", PAGE),), Denied),
    "not-found": Case((answer("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>"),), NotFound),
    "not-found-page": Case((answer("404 Not Found", PAGE),), NotFound),
    "gone": Case((answer("410 Gone"),), NotFound),
    "request-timeout": Case((answer("408 Request Timeout"),), OriginTimeout),
    "too-many": Case((answer("429 Too Many Requests"),), Throttled),
    "error": Case((answer("500 Internal Server Error", PAGE),), Unavailable),
    "bad-gateway": Case((answer("502 Bad Gateway", PAGE),), Unavailable),
    "slow-down": Case((answer("503 Slow Down", SLOW_DOWN),), Throttled),
    "gateway-timeout": Case((answer("504 Gateway Timeout", PAGE),), OriginTimeout),
    # Of an error that breaks off, some clients see the status, and some no more than the break.
    "error-that-breaks": Case(
        (answer("503 Slow Down", SLOW_DOWN, content_length="9000"), CLOSE),
        Throttled,
        {"obstore": Unavailable, "aiobotocore": BrokenBody},
    ),
}


def expected(case: Case, kind: Kind) -> type[SourceError]:
    return case.but.get(kind, case.expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", OPENING.values(), ids=OPENING)
async def test_failure_before_the_first_byte(case: Case, kind: Kind) -> None:
    async with (
        raw_origin(case.answer) as origin,
        source_at(kind, origin.url, read_timeout=case.read_timeout) as source,
    ):
        with pytest.raises(SourceError) as caught:
            await source.open("key", OpenRequest())
        assert type(caught.value) is expected(case, kind)
        assert "key" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_listens(kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with source_at(kind, url) as source:
        with pytest.raises(Unavailable):
            await source.open("key", OpenRequest())


@pytest.mark.parametrize("kind", KINDS)
async def test_host_that_does_not_exist(kind: Kind) -> None:
    async with source_at(kind, "http://nowhere.invalid") as source:
        with pytest.raises(Unavailable):
            await source.open("key", OpenRequest())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["TimedOut", "kind: Timeout,", "status: 404,", "NotFound"])
async def test_key_that_reads_like_a_failure_changes_nothing(kind: Kind, key: str) -> None:
    async with raw_origin((CLOSE,)) as origin, source_at(kind, origin.url) as source:
        with pytest.raises(Unavailable):
            await source.open(key, OpenRequest())


@pytest.mark.parametrize("kind", KINDS)
async def test_throttling_keeps_the_time_to_wait_where_the_client_shows_it(kind: Kind) -> None:
    reply = answer("503 Slow Down", SLOW_DOWN, retry_after="7")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        with pytest.raises(Throttled) as caught:
            await source.open("key", OpenRequest())
        # obstore shows no fields of an error.
        assert caught.value.retry_after_seconds == (None if kind == "obstore" else 7.0)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_attempts_are_made_before_the_first_byte(kind: Client) -> None:
    failing: Answer = (answer("500 Internal Server Error"),)
    async with (
        raw_origin(failing, failing, (served(b"at last"),)) as origin,
        source_at(kind, origin.url, attempts=3) as source,
    ):
        assert await content_of(await source.open("key", OpenRequest())) == b"at last"
        assert len(origin.requests) == 3


# In the body. It is longer than what a client reads ahead of whoever opens it.

SIZE = 300_000
PART = b"x" * 100_000
BODIES = {
    "closes": Case((served(PART, content_length=str(SIZE)), CLOSE), BrokenBody),
    "resets": Case((served(PART, content_length=str(SIZE)), RESET), BrokenBody),
    "closes-before-the-first-byte": Case((served(b"", content_length=str(SIZE)), CLOSE), BrokenBody),
}
CHUNKS = b"5\r\nhello\r\n"
CHUNKED = {
    "chunk-that-breaks": CHUNKS + b"9\r\nhel",
    "no-last-chunk": CHUNKS,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", BODIES.values(), ids=BODIES)
async def test_failure_in_the_body(case: Case, kind: Kind) -> None:
    async with raw_origin(case.answer) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert found(outcome).metadata.size == SIZE
        with pytest.raises(SourceError) as caught:
            await content_of(outcome)
        assert type(caught.value) is expected(case, kind)
        await origin.quiet()


async def test_body_that_stalls() -> None:
    async def read(kind: Kind) -> None:
        stalling = (served(PART, content_length=str(SIZE)), STALL)
        # Not in haste: what comes before the stall has to come in time.
        async with raw_origin(stalling) as origin, source_at(kind, origin.url, read_timeout=3) as source:
            outcome = await source.open("key", OpenRequest())
            assert found(outcome).metadata.size == SIZE
            with pytest.raises(OriginTimeout):
                await content_of(outcome)
            await origin.quiet()

    # At the same time, for each takes its own.
    await asyncio.gather(*(read(kind) for kind in KINDS))


@pytest.mark.parametrize("kind", ["aiobotocore", "botocore", "http"])
@pytest.mark.parametrize("content", CHUNKED.values(), ids=CHUNKED)
async def test_chunked_body_that_breaks(content: bytes, kind: Kind) -> None:
    reply = answer("200 OK", content, content_length=None, transfer_encoding="chunked")
    async with raw_origin((reply, CLOSE)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert found(outcome).metadata.size is None
        with pytest.raises(BrokenBody):
            await content_of(outcome)


@pytest.mark.parametrize("kind", KINDS)
async def test_body_longer_than_its_length_is_never_passed_on(kind: Kind) -> None:
    reply = served(b"x" * 50 + b"more", content_length="50")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        # aiohttp finds the surplus when it comes with the header; the others leave it where it is.
        if kind in ("aiobotocore", "http"):
            with pytest.raises(BadAnswer):
                await source.open("key", OpenRequest())
        else:
            assert await content_of(await source.open("key", OpenRequest())) == b"x" * 50


async def test_obstore_resumes_a_body_that_breaks() -> None:
    broken, rest = (served(PART, content_length=str(SIZE)), CLOSE), rest_of_the_body('"version-1"')
    async with raw_origin(broken, (rest,)) as origin, source_at("obstore", origin.url, attempts=2) as source:
        assert await content_of(await source.open("key", OpenRequest())) == PART + b"y" * 200_000
        assert origin.requests[1].fields["range"] == "bytes=100000-299999"


async def test_obstore_never_resumes_with_another_version() -> None:
    broken, rest = (served(PART, content_length=str(SIZE)), CLOSE), rest_of_the_body('"version-2"')
    async with raw_origin(broken, (rest,)) as origin, source_at("obstore", origin.url, attempts=2) as source:
        with pytest.raises(BrokenBody):
            await content_of(await source.open("key", OpenRequest()))


def rest_of_the_body(etag: str) -> bytes:
    place = "bytes 100000-299999/300000"
    return answer("206 Partial Content", b"y" * 200_000, etag=etag, content_range=place)


# Who leaves early.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads", [0, 1])
async def test_body_that_is_closed_early_closes_its_connection(kind: Kind, reads: int) -> None:
    endless = served(b"x" * 2_000_000, content_length="9000000")
    async with raw_origin((endless, STALL)) as origin, source_at(kind, origin.url, read_timeout=30) as source:
        body = found(await source.open("key", OpenRequest())).body
        for _ in range(reads):
            assert await body.read()
        await body.aclose()
        await origin.quiet()


@pytest.mark.parametrize("kind", KINDS)
async def test_read_that_is_cancelled_closes_its_connection(kind: Kind) -> None:
    stalling = served(b"x" * 1000, content_length="9000000")
    async with (
        raw_origin((stalling, STALL)) as origin,
        source_at(kind, origin.url, read_timeout=30) as source,
    ):
        body = found(await source.open("key", OpenRequest())).body
        reading = asyncio.create_task(drain(body))
        await asyncio.wait((reading,), timeout=0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await body.aclose()
        await origin.quiet()


@pytest.mark.parametrize("kind", KINDS)
async def test_open_that_is_cancelled_closes_its_connection(kind: Kind) -> None:
    async with raw_origin((STALL,)) as origin, source_at(kind, origin.url, read_timeout=30) as source:
        opening = asyncio.create_task(source.open("key", OpenRequest()))
        await origin.asked()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await origin.quiet()


async def test_botocore_open_that_is_cancelled_is_not_made_again() -> None:
    async with (
        raw_origin((STALL,), (served(b"content"),)) as origin,
        source_at("botocore", origin.url, read_timeout=30, attempts=5) as source,
    ):
        opening = asyncio.create_task(source.open("key", OpenRequest()))
        await origin.asked()
        opening.cancel()
        await origin.quiet()
        # The thread would have asked again by now if it did: this is the second request.
        assert await content_of(await source.open("key", OpenRequest())) == b"content"


async def test_botocore_opens_that_nobody_waits_for_do_not_hold_up_others() -> None:
    stalled: list[Answer] = [(STALL,)] * 20
    async with (
        raw_origin(*stalled, (served(b"content"),)) as origin,
        source_at("botocore", origin.url, read_timeout=30, max_connections=20) as source,
    ):
        opening = [asyncio.create_task(source.open("key", OpenRequest())) for _ in stalled]
        await origin.asked(len(stalled))
        for task in opening:
            task.cancel()
        async with asyncio.timeout(15):
            assert await content_of(await source.open("key", OpenRequest())) == b"content"


@pytest.mark.parametrize("kind", KINDS)
async def test_source_that_is_left_closes_its_connections(kind: Kind) -> None:
    async with raw_origin((served(b"content"),)) as origin:
        async with source_at(kind, origin.url) as source:
            await content_of(await source.open("key", OpenRequest()))
            assert origin.open_connections == 1
        await origin.quiet()


@pytest.mark.parametrize("kind", KINDS)
async def test_source_that_is_not_entered_says_so(kind: Kind) -> None:
    source = source_at(kind, "http://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="not open"):
        await source.open("key", OpenRequest())
    async with source:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        await source.open("key", OpenRequest())


# At a real store.

NO_KEYS = {"access_key_id": None, "secret_access_key": None, "anonymous": True}
REFUSALS: dict[str, tuple[str, dict[str, object], type[SourceError]]] = {
    "wrong-secret": (BUCKET, {"secret_access_key": "wrong"}, Denied),
    "unknown-key": (BUCKET, {"access_key_id": "nobody"}, Denied),
    "anonymous": (BUCKET, NO_KEYS, Denied),
    "missing-bucket": ("no-such-bucket", {}, NotFound),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("head", [False, True], ids=["get", "head"])
@pytest.mark.parametrize("name", REFUSALS)
async def test_store_that_refuses(juicefs_server: S3Server, client: Client, head: bool, name: str) -> None:
    bucket, changes, error = REFUSALS[name]
    options = options_for(juicefs_server, **changes)
    async with store_source(f"s3://{bucket}", options, client=client) as source:
        with pytest.raises(error):
            await source.open("key", OpenRequest(head=head))
