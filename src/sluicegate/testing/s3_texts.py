"""What S3 says in XML: errors, and the lists of ListObjectsV2. Nothing in here waits or sends."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from sluicegate.http.metadata import Metadata
from sluicegate.testing.held import LAST_MODIFIED

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_KEYS: Final = 1000
"""As many keys as S3 puts on one page."""

_ERRORS: Final[Mapping[int, str]] = {
    304: "NotModified",
    400: "InvalidRequest",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    416: "InvalidRange",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "SlowDown",
}
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def error_text(status: int, resource: str, error: str | None = None) -> bytes:
    """The XML of an error with `status`, by default with the code that S3 has for it."""
    code = error or _ERRORS.get(status) or HTTPStatus(status).phrase.replace(" ", "")
    children = (("Code", code), ("Message", f"{code}, says the origin"), ("Resource", f"/{resource}"))
    return _document("Error", children)


def location_text() -> bytes:
    """The XML of GetBucketLocation."""
    return f'{_DECLARATION}<LocationConstraint xmlns="{NAMESPACE}"/>'.encode()


def list_text(bucket: str, objects: Mapping[str, Metadata], query: Mapping[str, str]) -> bytes:
    """The XML of ListObjectsV2 for the `query`, over the `objects` of the bucket by their keys."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    limit = min(MAX_KEYS, _number(query.get("max-keys"), MAX_KEYS))
    after = _decoded(query.get("continuation-token")) or query.get("start-after", "")
    entries = list(_entries(sorted(objects, key=_bytes), prefix, delimiter, after))
    shown, more = entries[:limit], len(entries) > limit
    url = query.get("encoding-type") == "url"
    parts: list[tuple[str, str | list[tuple[str, str]]]] = [
        ("Name", bucket),
        ("Prefix", _name(prefix, url)),
        ("MaxKeys", str(limit)),
        ("KeyCount", str(len(shown))),
        ("IsTruncated", "true" if more else "false"),
    ]
    if delimiter:
        parts.append(("Delimiter", _name(delimiter, url)))
    if url:
        parts.append(("EncodingType", "url"))
    if more and shown:
        parts.append(("NextContinuationToken", _encoded(shown[-1])))
    for name in shown:
        if name in objects and not _common(name, prefix, delimiter):
            parts.append(("Contents", _contents(_name(name, url), objects[name])))
        else:
            parts.append(("CommonPrefixes", [("Prefix", _name(name, url))]))
    return _document("ListBucketResult", parts, NAMESPACE)


def _entries(keys: list[str], prefix: str, delimiter: str, after: str) -> Iterator[str]:
    """The keys and the common prefixes that come behind `after`, in order, each once."""
    last = ""
    for key in keys:
        if not key.startswith(prefix):
            continue
        entry = _common(key, prefix, delimiter) or key
        if entry != last and _bytes(entry) > _bytes(after):
            last = entry
            yield entry


def _common(key: str, prefix: str, delimiter: str) -> str:
    """The common prefix that stands for `key`, or nothing if it stands for itself."""
    if not delimiter:
        return ""
    segment, found, _ = key[len(prefix) :].partition(delimiter)
    return prefix + segment + found if found else ""


def _contents(name: str, metadata: Metadata) -> list[tuple[str, str]]:
    modified = (metadata.last_modified or LAST_MODIFIED).astimezone(UTC)
    return [
        ("Key", name),
        ("LastModified", _timestamp(modified)),
        ("ETag", str(metadata.etag or "")),
        ("Size", str(metadata.size or 0)),
        ("StorageClass", "STANDARD"),
    ]


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _document(root: str, children: object, namespace: str = "") -> bytes:
    declared = f' xmlns="{namespace}"' if namespace else ""
    return f"{_DECLARATION}<{root}{declared}>{_elements(children)}</{root}>".encode("utf-8", "replace")


def _elements(children: object) -> str:
    if isinstance(children, str):
        return escape(children)
    assert isinstance(children, list | tuple)  # noqa: S101 - made in this file
    return "".join(f"<{name}>{_elements(value)}</{name}>" for name, value in children)


def _name(name: str, url: bool) -> str:
    return quote(name, safe="/", errors="surrogateescape") if url else name


def _bytes(key: str) -> bytes:
    # S3 lists keys in the order of their UTF-8 bytes.
    return key.encode("utf-8", "surrogateescape")


def _number(value: str | None, default: int) -> int:
    return int(value) if value is not None and value.isdecimal() else default


def _encoded(key: str) -> str:
    return base64.urlsafe_b64encode(_bytes(key)).decode()


def _decoded(token: str | None) -> str:
    if not token:
        return ""
    try:
        return base64.urlsafe_b64decode(token).decode("utf-8", "surrogateescape")
    except ValueError:
        return ""
