"""`StreamResponse` where `StreamingResponse` stood: the same answers to the same content, and to more."""

import array
import asyncio
import io
import logging
import uuid
from collections.abc import AsyncIterator

import pytest
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

from sluicegate import StreamResponse

from .apps import CASES
from .conftest import Server
from .fakes import Exchange, Ledger
from .raw_client import Answer, fetch, until

# What servers add of their own, and what they may add or not.
_SERVERS_OWN = ("date", "server", "connection")


def _comparable(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes, bool]:
    fields = sorted(field for field in answer.head.fields if field[0] not in _SERVERS_OWN)
    return answer.status, fields, answer.content, answer.complete


@pytest.mark.parametrize("name", CASES)
async def test_answer_is_that_of_starlettes_response(server: Server, name: str) -> None:
    theirs = await fetch(server.url, f"/case/starlette/{name}")
    ours = await fetch(server.url, f"/case/ours/{name}")
    if name.startswith("failing"):
        # Starlette's has sent its head by then.
        assert (ours.status, ours.complete) == (500, True)
        return
    assert _comparable(ours) == _comparable(theirs)


WIDER_CONTENT = {
    "bytearray": b"abcd",
    "array": array.array("H", [1, 2, 3]).tobytes(),
    "reused-buffer": b"".join(b"%04d" % number for number in range(300)),
    "reused-buffer-async": b"".join(b"%04d" % number for number in range(300)),
    "obstore-bytes": b"obstore bytes",
    "bytes": b"whole",
    "whole-memoryview": bytes(3_000_000),
    "text": "Grüße".encode(),
    "latin-1": "Grüße".encode("latin-1"),
}


@pytest.mark.parametrize("name", WIDER_CONTENT)
async def test_every_kind_of_buffer_is_sent_as_it_was(server: Server, name: str) -> None:
    answer = await fetch(server.url, f"/case/ours/{name}")
    assert (answer.status, answer.content, answer.complete) == (200, WIDER_CONTENT[name], True)


@pytest.mark.parametrize(
    "name", ["async-generator", "sync-generator", "bytes", "own-headers", "type-in-headers"]
)
async def test_head_is_that_of_a_get(server: Server, name: str) -> None:
    get = await fetch(server.url, f"/case/ours/{name}")
    head = await fetch(server.url, f"/case/ours/{name}", "HEAD")
    assert (head.status, head.content, head.complete) == (200, b"", True)
    # How a body would be framed need not be said of none.
    framing = (*_SERVERS_OWN, "transfer-encoding")
    assert sorted(field for field in head.head.fields if field[0] not in framing) == sorted(
        field for field in get.head.fields if field[0] not in framing
    )


@pytest.mark.parametrize("name", ["two-chunks", "two-chunks-thread"])
async def test_head_over_a_socket_reads_nothing_and_closes_once(server: Server, name: str) -> None:
    ident = uuid.uuid4().hex
    answer = await server.fetch(f"/script/{name}?id={ident}", "HEAD")

    async def ended() -> bool:
        stats = await server.stats(ident)
        return bool(stats["closed"] and stats["background"])

    await until(ended, 20)
    stats = await server.stats(ident)
    assert (answer.status, stats["reads"], stats["closed"], stats["background"]) == (200, 0, 1, 1)


async def test_bytes_that_are_there_already_have_a_length() -> None:
    exchange = await Exchange().call(StreamResponse(b"whole"))
    assert exchange.headers == {"content-length": "5"}
    exchange = await Exchange().call(StreamResponse("Grüße", media_type="text/plain"))
    assert exchange.headers == {"content-length": "7", "content-type": "text/plain; charset=utf-8"}


async def test_text_is_encoded_in_the_charset_of_the_response() -> None:
    class Latin1(StreamResponse):
        charset = "latin-1"

    exchange = await Exchange().call(Latin1(iter(("Grüße",)), media_type="text/plain"))
    assert exchange.headers == {"content-type": "text/plain; charset=latin-1"}
    assert exchange.content == "Grüße".encode("latin-1")


@pytest.mark.parametrize(
    "chunk",
    [b"a", bytearray(b"a"), memoryview(b"a"), array.array("B", b"a"), "a"],
    ids=lambda chunk: type(chunk).__name__,
)
@pytest.mark.parametrize(
    "content_of", [lambda chunk: iter((chunk,)), lambda chunk: chunk], ids=["chunk", "all"]
)
async def test_servers_are_given_bytes_and_nothing_else(chunk: object, content_of: object) -> None:
    # ASGI says "byte string": some servers take other buffers for an empty body.
    exchange = await Exchange().call(StreamResponse(content_of(chunk)))  # type: ignore[operator]
    assert exchange.content == b"a"
    assert {type(message["body"]) for message in exchange.sent[1:]} == {bytes}


@pytest.mark.parametrize(
    "content", [b"whole", (b"a", b"b"), io.BytesIO(b"file")], ids=["bytes", "tuple", "file"]
)
async def test_response_is_sent_once(content: object) -> None:
    response = StreamResponse(content)
    await Exchange().call(response)
    again = Exchange()
    with pytest.raises(RuntimeError, match="sent once"):
        await again.call(response)
    assert again.sent == []


async def test_response_that_is_being_sent_is_not_sent_to_another_client() -> None:
    going_on = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b"a"
        await going_on.wait()
        yield b"b"

    response = StreamResponse(content())
    first = asyncio.create_task(Exchange().call(response))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="sent once"):
        await Exchange().call(response)
    going_on.set()
    assert (await first).content == b"ab"


async def test_piece_of_the_request_that_is_thrown_away_is_told() -> None:
    messages = asyncio.Queue[dict[str, object]]()
    messages.put_nowait({"type": "http.request", "body": b"later", "more_body": True})
    told = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b"a"
        await told.wait()
        yield b"b"

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "5 bytes of the request's body" in record.getMessage():
                told.set()

    handler = Told()
    logging.getLogger("sluicegate").addHandler(handler)
    try:
        exchange = Exchange()
        await StreamResponse(content())(exchange.scope, messages.get, exchange.send)
    finally:
        logging.getLogger("sluicegate").removeHandler(handler)
    assert exchange.content == b"ab"


@pytest.mark.parametrize("chunk", [1, None, 1.5, object()], ids=lambda chunk: type(chunk).__name__)
async def test_chunk_of_another_type_is_an_error_before_the_head(chunk: object) -> None:
    exchange = Exchange()
    with pytest.raises(TypeError):
        await exchange.call(StreamResponse(iter((chunk,))))
    assert exchange.sent == []


@pytest.mark.parametrize("content", [None, 1, object(), 1.5], ids=lambda content: type(content).__name__)
def test_content_that_cannot_be_streamed_is_refused_when_the_response_is_made(content: object) -> None:
    with pytest.raises(TypeError, match="cannot stream"):
        StreamResponse(content)


def test_answer_of_get_object_whose_body_was_forgotten_is_refused() -> None:
    answer = {"Body": io.BytesIO(b"content"), "ContentLength": 7}
    with pytest.raises(TypeError, match=r"cannot stream 'dict', .* give its body"):
        StreamResponse(answer)


@pytest.mark.parametrize(
    "arguments",
    [
        {"headers": {"X-Name": "a\r\nSet-Cookie: b"}},
        {"headers": {"X-Name": "a\0"}},
        {"headers": {"X Name": "a"}},
        {"headers": {"X-Name": "日本"}},
        {"media_type": "text/plain\r\nSet-Cookie: b"},
        {"media_type": "text/日本"},
    ],
    ids=["line break", "nul", "space in a name", "not latin-1", "media type", "media type not latin-1"],
)
def test_values_that_would_split_the_header_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="header field"):
        StreamResponse(b"", **arguments)  # type: ignore[arg-type]


async def test_background_runs_after_the_body() -> None:
    ledger = Ledger()
    exchange = Exchange()

    async def check() -> None:
        assert exchange.is_complete
        await ledger.run_background()

    await exchange.call(StreamResponse(iter((b"a",)), background=BackgroundTask(check)))
    assert ledger.background == 1


async def test_replaced_body_iterator_is_what_is_sent() -> None:
    response = StreamResponse(iter((b"a", b"b")))
    inner = response.body_iterator

    async def louder() -> object:
        async for chunk in inner:
            yield bytes(chunk).upper()  # type: ignore[arg-type]

    response.body_iterator = louder()  # type: ignore[assignment]
    assert (await Exchange().call(response)).content == b"AB"


async def test_body_iterator_can_be_read_without_a_server() -> None:
    response = StreamResponse(iter((b"a", b"b")))
    assert b"".join([bytes(chunk) async for chunk in response.body_iterator]) == b"ab"  # type: ignore[arg-type]


async def test_response_is_one_of_starlettes() -> None:
    assert isinstance(StreamResponse(b""), StreamingResponse)


async def test_denial_of_a_websocket_is_sent_as_one() -> None:
    exchange = Exchange(scope_type="websocket")
    await exchange.call(StreamResponse(iter((b"no",)), status_code=403))
    assert [message["type"] for message in exchange.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
        "websocket.http.response.body",
    ]
    assert exchange.content == b"no"


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_answer_that_has_no_content_has_no_length_of_it(status: int) -> None:
    exchange = await Exchange().call(StreamResponse(b"abc", status_code=status))
    assert (exchange.headers, exchange.content) == ({}, b"")


async def test_event_stream_begins_before_its_first_event() -> None:
    exchange = Exchange()
    seen: list[int] = []

    async def events() -> object:
        seen.append(len(exchange.sent))
        yield "data: 1\n\n"

    await exchange.call(StreamResponse(events(), media_type="text/event-stream"))
    assert seen == [1]
