"""`multipart/byteranges`: the framing of several spans in one body, with its exact length.

RFC 9110 section 14.6. A CRLF stands before the first boundary and after the last, as nginx sends them:
some clients loop for ever without.
"""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.http.ranges import ContentRange, Span


@dataclass(frozen=True, slots=True)
class Multipart:
    """The spans to send of an object of `size` bytes, in order, between lines of `boundary`."""

    spans: tuple[Span, ...]
    size: int
    boundary: str
    content_type: str

    @property
    def media_type(self) -> str:
        """The `Content-Type` of the whole answer."""
        return f"multipart/byteranges; boundary={self.boundary}"

    @property
    def length(self) -> int:
        """Bytes of the whole body, framing included."""
        parts = sum(len(self.preamble(span)) + span.length for span in self.spans)
        return parts + len(self.epilogue)

    def preamble(self, span: Span) -> bytes:
        """What stands before the bytes of `span`."""
        lines = (
            "",
            f"--{self.boundary}",
            f"Content-Type: {self.content_type}",
            f"Content-Range: {ContentRange(span, self.size)}",
            "",
            "",
        )
        return "\r\n".join(lines).encode("latin-1")

    @property
    def epilogue(self) -> bytes:
        """What stands after the last span."""
        return f"\r\n--{self.boundary}--\r\n".encode("latin-1")
