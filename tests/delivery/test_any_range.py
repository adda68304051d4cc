"""Whatever stands in `Range` and `If-*`: the bytes that are sent are those that the answer says they are."""

import asyncio
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Server
from .raw_client import Answer, fetch

MOST_BYTES = 5000

numbers = st.integers(0, 6000).map(str) | st.just("")
ranges = st.lists(st.tuples(numbers, numbers).map("-".join), min_size=1, max_size=5)
likely = ranges.map(lambda specs: f"bytes={','.join(specs)}".encode())
# Line ends would be other fields, and NUL is refused by every server before the application sees it.
unlikely = st.binary(max_size=60).map(lambda value: bytes(byte for byte in value if byte not in b"\r\n\0"))
tags = st.sampled_from([b"*", b'"x"', b'W/"x"', b'"', b"x", b""]) | unlikely


def _check_whole(answer: Answer, content: bytes) -> None:
    # 400 is the server's own, to a field with control characters.
    assert answer.complete or answer.status == 400
    match answer.status:
        case 200:
            assert answer.content == content
        case 206 if "multipart" not in (answer.get("content-type") or ""):
            _check_part(answer.get("content-range") or "", answer.content, content)
        case 206:
            boundary = (answer.get("content-type") or "").partition("boundary=")[2].encode()
            opening, *pieces, closing = answer.content.split(b"\r\n--" + boundary)
            assert (opening, closing, len(pieces) > 1) == (b"", b"--\r\n", True)
            for piece in pieces:
                head, _, part = piece.partition(b"\r\n\r\n")
                place = re.search(rb"Content-Range: (.*)", head)
                assert place is not None
                _check_part(place[1].decode().strip(), part, content)
        case 416:
            assert answer.get("content-range") == f"bytes */{len(content)}"
        case status:
            assert status in (304, 400)


def _check_part(place: str, part: bytes, content: bytes) -> None:
    matched = re.fullmatch(rf"bytes ([0-9]+)-([0-9]+)/{len(content)}", place)
    assert matched is not None, place
    assert part == content[int(matched[1]) : int(matched[2]) + 1]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(
    content=st.binary(max_size=MOST_BYTES),
    value=likely | unlikely,
    if_range=st.none() | tags,
    match=st.none() | tags,
)
def test_bytes_of_any_range_are_the_slice_that_the_answer_names(
    server: Server, content: bytes, value: bytes, if_range: bytes | None, match: bytes | None
) -> None:
    async def ask() -> Answer:
        await fetch(server.url, "/memory/any", "PUT", body=content)
        fields = [("Range", value), ("If-Range", if_range), ("If-None-Match", match)]
        given_fields = [(name, value) for name, value in fields if value is not None]
        return await fetch(server.url, "/asgi/memory/any", fields=given_fields)

    _check_whole(asyncio.run(ask()), content)
