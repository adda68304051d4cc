"""The one canonical path: what a raw request path says, decoded once and checked.

Routing, object keys and whatever else asks for the path all start from the segments made here. Nothing may
decode a second time or read another form of the path.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote_to_bytes

_MALFORMED_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOT_PIECE = re.compile(r"(?:\A|[/\\])\.{1,2}(?:[/\\]|\Z)")
# The characters of RFC 3986, section 3.3 that stand for themselves, and no segment that begins with a dot:
# such a path is what it says, and needs no look at its segments.
_PLAIN = re.compile(rb"(?:/(?!\.)[A-Za-z0-9._~!$&'()*+,;=:@-]*)+")
_PLAIN_TEXT = re.compile(_PLAIN.pattern.decode("ascii"))
_SEGMENT_SAFE = "!$&'()*+,;=:@"


class BadPath(ValueError):
    """A path that is not served under any route; the gateway answers 400 with `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def canonical_segments(raw_path: bytes) -> tuple[str, ...]:
    """Split a raw path at its slashes and percent-decode each segment exactly once.

    `raw_path` is the path of the request target as the client sent it: percent-encoded, without a query.
    Empty segments stay. A segment may hold a slash that was sent as `%2F`: it is told apart from a separator.

    Raises `BadPath` where the path does not start with a slash, holds a raw `?` or `#`, a malformed percent
    escape, invalid UTF-8, a control character, or a piece `.` or `..` between slashes or backslashes, however
    encoded.
    """
    if _PLAIN.fullmatch(raw_path):
        return tuple(raw_path[1:].decode("ascii").split("/"))
    if not raw_path.startswith(b"/"):
        raise BadPath("the path does not start with '/'")
    return tuple(_segment(raw) for raw in raw_path[1:].split(b"/"))


def canonical_path(segments: Sequence[str]) -> str:
    """Write segments as the one path that stands for them: what decides on access looks at this alone.

    All but the characters that RFC 3986, section 3.3 allows in a segment is percent-encoded, so that a slash
    in a segment is no separator, and two paths are the same text only if they are the same path.
    """
    text = "/" + "/".join(segments)
    # Most paths say what they are. A slash in a segment would not be told apart here.
    if text.count("/") == len(segments) and _PLAIN_TEXT.fullmatch(text):
        return text
    return "".join([f"/{quote(segment, safe=_SEGMENT_SAFE)}" for segment in segments])


def below_mount(segments: tuple[str, ...], root: str) -> tuple[str, ...]:
    """The segments below the place where an application is mounted (ASGI's `root_path`, which is decoded).

    A path that does not begin there, as from servers that have taken it away, is as it is.
    """
    mounts = tuple(root.split("/")[1:])
    return (segments[len(mounts) :] or ("",)) if segments[: len(mounts)] == mounts else segments


def has_control(text: str) -> bool:
    """Tell whether the text holds NUL, another C0 control character or DEL."""
    return _CONTROL.search(text) is not None


def has_dot_piece(text: str) -> bool:
    """Tell whether a piece between slashes or backslashes is `.` or `..`."""
    return _DOT_PIECE.search(text) is not None


def _segment(raw: bytes) -> str:
    # RFC 3986, section 3.3: a path ends at the first "?" or "#"; in a key they are sent as %3F and %23.
    if b"?" in raw or b"#" in raw:
        raise BadPath("'?' and '#' in a path must be percent-encoded")
    if _MALFORMED_ESCAPE.search(raw):
        raise BadPath("the path holds a malformed percent escape")
    try:
        text = unquote_to_bytes(raw).decode("utf-8", "strict")
    except UnicodeDecodeError as exc:
        raise BadPath("the path is not valid UTF-8") from exc
    if has_control(text):
        raise BadPath("the path holds a control character")
    if has_dot_piece(text):
        raise BadPath("the path holds a '.' or '..' segment")
    return text
