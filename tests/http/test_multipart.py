"""The framing of several spans in one body."""

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import Span

CONTENT = bytes(range(256)) * 4
SPANS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 124)), min_size=2, max_size=5).map(
    lambda pairs: tuple(Span(start, start + length) for start, length in pairs)
)


def test_parts_look_as_the_standard_shows_them() -> None:
    multipart = Multipart((Span(0, 2), Span(5, 6)), 10, "edge", "text/plain; charset=utf-8")
    assert multipart.media_type == "multipart/byteranges; boundary=edge"
    assert body_of(multipart, b"0123456789") == (
        b"\r\n--edge\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Range: bytes 0-1/10\r\n"
        b"\r\n"
        b"01"
        b"\r\n--edge\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Range: bytes 5-5/10\r\n"
        b"\r\n"
        b"5"
        b"\r\n--edge--\r\n"
    )


@given(SPANS, st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_multipart_is_as_long_as_it_says(spans: tuple[Span, ...], content_type: str) -> None:
    multipart = Multipart(spans, len(CONTENT), "edge", content_type)
    assert len(body_of(multipart, CONTENT)) == multipart.length


def test_type_outside_ascii_is_as_long_as_it_says() -> None:
    multipart = Multipart((Span(0, 1), Span(5, 6)), 10, "edge", "text/caf\xe9")
    assert len(body_of(multipart, b"0123456789")) == multipart.length


def body_of(multipart: Multipart, content: bytes) -> bytes:
    parts = [multipart.preamble(span) + content[span.start : span.stop] for span in multipart.spans]
    return b"".join(parts) + multipart.epilogue
