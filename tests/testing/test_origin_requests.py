"""Requests to the faulty origin, from bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.testing.origin_requests import BadRequest, NeedMore, OriginRequest, parse_head, take_body

AWS_CHUNKS = b"5;chunk-signature=0f\r\nhello\r\n0;chunk-signature=1f\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"


def request(**fields: str) -> OriginRequest:
    return OriginRequest(
        "PUT", "/a", "a", fields={name.replace("_", "-"): text for name, text in fields.items()}
    )


def test_head_is_read() -> None:
    read = parse_head(b"GET /b%20c/%C3%A9?x=%26&y HTTP/1.1\r\nHost: h\r\nA: 1\r\na:  2 \r\n\r\n")
    assert (read.method, read.path, read.bucket, read.key) == ("GET", "b c/é", "b c", "é")
    assert (dict(read.query), dict(read.fields)) == ({"x": "&", "y": ""}, {"host": "h", "a": "1, 2"})


def test_absolute_form_is_read() -> None:
    assert parse_head(b"GET http://host:1/a/b?c=d HTTP/1.1\r\n\r\n").path == "a/b"


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
    ids=["1.1", "1.1-close", "1.0", "1.0-keep-alive"],
)
def test_connection_stays_where_the_client_wants_it(head: bytes, stays: bool) -> None:
    assert parse_head(head).keeps_alive is stays


@pytest.mark.parametrize(
    ("asked", "data", "expected"),
    [
        pytest.param(request(), b"GET /", (b"", 0), id="none"),
        pytest.param(request(content_length="3"), b"abcGET", (b"abc", 3), id="length"),
        pytest.param(
            request(transfer_encoding="chunked"), b"3\r\nabc\r\n0\r\n\r\nGET", (b"abc", 13), id="chunks"
        ),
        pytest.param(
            request(content_length=str(len(AWS_CHUNKS)), content_encoding="aws-chunked"),
            AWS_CHUNKS,
            (b"hello", len(AWS_CHUNKS)),
            id="aws-chunks",
        ),
        pytest.param(
            request(transfer_encoding="chunked", content_encoding="gzip,aws-chunked"),
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(AWS_CHUNKS), AWS_CHUNKS),
            (b"hello", len(AWS_CHUNKS) + 11),
            id="aws-chunks-in-chunks",
        ),
    ],
)
def test_body_is_taken(asked: OriginRequest, data: bytes, expected: tuple[bytes, int]) -> None:
    assert take_body(asked, data) == expected


@pytest.mark.parametrize("end", range(12))
def test_body_that_is_not_all_there_has_to_wait(end: int) -> None:
    with pytest.raises(NeedMore):
        take_body(request(transfer_encoding="chunked"), b"3\r\nabc\r\n0\r\n\r\n"[:end])


@pytest.mark.parametrize(
    ("asked", "data"),
    [
        (request(content_length="-1"), b""),
        (request(content_length="99999999999999"), b""),
        (request(transfer_encoding="chunked"), b"xyz\r\n"),
        (request(transfer_encoding="chunked"), b"-3\r\n"),
    ],
    ids=["negative", "too-long", "no-number", "negative-chunk"],
)
def test_body_that_is_framed_badly_is_refused(asked: OriginRequest, data: bytes) -> None:
    with pytest.raises(BadRequest):
        take_body(asked, data)


@given(st.binary())
def test_any_head_is_read_or_refused(head: bytes) -> None:
    with suppress(BadRequest):
        parse_head(head)
