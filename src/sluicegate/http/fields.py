"""Header fields: which values are safe to send, which fields end at this hop, and Content-Disposition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal
from urllib.parse import quote

from sluicegate.errors import BadFieldValue
from sluicegate.http.paths import has_control

Fields = tuple[tuple[str, str], ...]
"""Header fields in order: names in lower case, values as text that encodes to Latin-1."""

Disposition = Literal["inline", "attachment"]

GUARDED: Final = "sluicegate.guarded"
"""Where an ASGI scope says `True` under this key, the request was let in, and another one for the same object
may not be: an answer without a `Cache-Control` of its own is then not for shared caches."""

GUARDED_CACHE_CONTROL: Final = "private, no-cache"
"""`Cache-Control` of what not everybody may read, unless it has its own: no cache that is shared keeps the
answer, and a browser asks again whether it still may."""

# RFC 9110 sections 5.1 and 5.5: field-name is a token; a value has no control character but the tab.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# RFC 9110 sections 8.6 and 10.2.3: Content-Length and delta-seconds are 1*DIGIT. No object has 20 digits.
_NUMBER = re.compile(r"[0-9]{1,19}")

_HOP_BY_HOP = frozenset(
    # RFC 9110 section 7.6.1, with the framing that each hop does for itself.
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# RFC 8187 section 3.2.1: attr-char, the characters that need no percent encoding in filename*.
_ATTR_CHAR = "!#$&+-.^_`|~"

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?")


def check_name(name: str) -> str:
    """`name` in lower case, if it is a field name; raises `BadFieldValue` if it is not."""
    if not _TOKEN.fullmatch(name):
        raise BadFieldValue(f"header field name {name!r} has characters that are not allowed in a token")
    return name.lower()


def check_value(name: str, value: str) -> str:
    """`value`, if it can be sent as that of `name`; raises `BadFieldValue` if it could split the header."""
    if not _VALUE.fullmatch(value):
        raise BadFieldValue(
            f"value {value!r} of header field {name!r} has control characters or characters outside Latin-1"
        )
    return value.strip(" \t")


def is_value(value: str) -> bool:
    """Whether a value could be sent as that of some field."""
    return _VALUE.fullmatch(value) is not None


def flaw_in_line(value: str, *, is_ascii: bool = True) -> str | None:
    """What a value has that keeps it from being sent as it is, on one line; `None` for nothing.

    The value is not shown. It is for what must reach the other end unchanged: a field of HTTP loses the
    spaces at its ends.
    """
    for is_there, flaw in (
        (value != value.rstrip("\r\n"), "a line break at its end, as files have"),
        (value != value.strip(), "a space or line break at one of its ends"),
        (has_control(value), "a control character in it"),
        (is_ascii and not value.isascii(), "a character that is not ASCII"),
    ):
        if is_there:
            return flaw
    return None


def check_fields(fields: Mapping[str, str]) -> Fields:
    """`fields` with lower-case names, each name and value checked."""
    return tuple((check_name(name), check_value(name, value)) for name, value in fields.items())


def safe_value(value: str | None) -> str | None:
    """An origin's value if it is safe to send on, else `None`: an origin is not trusted with framing."""
    if value is None or not _VALUE.fullmatch(value):
        return None
    return value.strip(" \t") or None


def end_to_end(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The fields that may pass this hop, by lower-case name; repeated ones joined by a comma.

    RFC 9110 section 7.6.1: an intermediary MUST remove the fields that `Connection` names, and
    `Connection` itself.
    """
    values: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for given, value in fields:
        name = given.lower()
        if name in values:
            repeated.setdefault(name, [values[name]]).append(value)
        else:
            values[name] = value
    # Joined once, at the end: a field that is repeated thousands of times costs no more than its length.
    values.update((name, ", ".join(lines)) for name, lines in repeated.items())
    stopped = _HOP_BY_HOP
    if "connection" in values:
        stopped |= {token.strip(" \t").lower() for token in values["connection"].split(",")}
    for name in values.keys() & stopped:
        del values[name]
    return values


def is_valid_host(values: list[str], http_version: str) -> bool:
    """RFC 9112 section 3.2: a request has exactly one valid `Host`; HTTP/1.0 may have none."""
    if not values:
        return http_version == "1.0"
    return len(values) == 1 and _HOST.fullmatch(values[0].strip(" \t")) is not None


def content_disposition(filename: str | None, disposition: Disposition = "attachment") -> str:
    """A `Content-Disposition` value: RFC 6266, with an ASCII fallback and an RFC 8187 `filename*`.

    Without a file name (`None` or empty) it is the disposition alone. Raises `BadFieldValue` for a file name
    with control characters, and for another disposition.
    """
    if disposition not in ("inline", "attachment"):
        raise BadFieldValue(f'disposition is "inline" or "attachment", got {disposition!r}')
    if not filename:
        return disposition
    if _CONTROLS.search(filename):
        raise BadFieldValue(f"file name {filename!r} has control characters")
    fallback = _ascii_fallback(filename)
    if fallback == filename:
        return f'{disposition}; filename="{fallback}"'
    # RFC 6266 section 4.3: filename* is preferred by those who understand it, and comes second for
    # those who do not.
    extended = quote(filename.encode("utf-8", "replace"), safe=_ATTR_CHAR)
    return f"{disposition}; filename=\"{fallback}\"; filename*=UTF-8''{extended}"


def _ascii_fallback(filename: str) -> str:
    # RFC 6266 appendix D: no percent sign in the fallback, which some clients decode; section 4.3:
    # path separators mean nothing good to a recipient.
    return "".join("_" if not char.isascii() or char in '%/\\"' else char for char in filename)


def filename_of(key: str) -> str | None:
    """The file name that a key suggests: its last segment, made safe; `None` if there is none."""
    name = _CONTROLS.sub("_", key.rsplit("/", 1)[-1])
    return name or None


def number(value: str | None) -> int | None:
    """The number of bytes or seconds that a field holds; `None` if there is no field, or no number in it."""
    return int(value) if value is not None and _NUMBER.fullmatch(value) else None
