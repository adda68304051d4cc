"""Addresses of an HTTP API: its base, the keys below it, and where it sends us.

Reads and writes them, and connects to none.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from yarl import URL

from sluicegate.errors import InvalidKey
from sluicegate.sources.base import check_key, no_text
from sluicegate.sources.options import BadOptions
from sluicegate.sources.redirects import Origin

# What a path segment may hold besides letters and digits (RFC 3986 section 3.3): the rest is encoded.
_SEGMENT_SAFE: Final = "-._~!$&'()*+,;=:@"
_ENCODED: Final = re.compile(r"[!\x22\x24-\x7e]*")


def check_base(base_url: str) -> str:
    """`base_url` as it goes out, without a slash at its end; raises `BadOptions` if it is no base."""
    try:
        url = URL(base_url)
    except ValueError as exc:
        raise BadOptions(f"the base address is none: {exc}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise BadOptions(f"{base_url!r} must be an http:// or https:// address")
    if url.user is not None or url.password is not None:
        raise BadOptions(f"{shown(url)}: a user and a password belong in an authorization header field")
    if url.query_string or url.fragment:
        raise BadOptions(f"{shown(url)} must have no query and no fragment")
    return str(url).rstrip("/")


def shown(url: URL) -> str:
    """An address for messages: without what may be secret, a user's password or the query."""
    return str(url.with_user(None).with_query(None))


def encode_key(key: str) -> str:
    """A key that is text, as a path."""
    return "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in check_key(key).split("/"))


def check_encoded(key: str) -> str:
    """A key that is encoded already, if it is one: a path, which may be empty, and perhaps a query."""
    if not isinstance(key, str):
        raise no_text(key)
    path = key.partition("?")[0]
    if path:
        check_key(unquote(path))
    if not _ENCODED.fullmatch(key):
        raise InvalidKey(f"key {key!r} is not percent-encoded")
    return key


def origin_of(url: URL) -> Origin:
    """The origin of an address; raises `ValueError` if it has none."""
    if url.raw_host is None or url.port is None:
        raise ValueError("an address without a host or a port")
    return Origin(url.scheme, url.raw_host, url.port)


def located(url: URL, location: str) -> URL:
    """The address that `location` is, seen from `url`; raises `ValueError` if it is none, or names a user."""
    try:
        target = url.join(URL(location))
    except IndexError as exc:
        # yarl's own mistake, for a user or a bracket without a host behind it, as in `//[::1]@`.
        raise ValueError("an address without a host") from exc
    if target.user is not None or target.password is not None:
        raise ValueError("an address with a user in it")
    query = location.partition("#")[0].partition("?")[2]
    if not query or not _ENCODED.fullmatch(query):
        return target
    # As it came: it may be signed, and yarl would write some of its escapes in another way.
    return URL(f"{target.with_query(None).with_fragment(None)}?{query}", encoded=True)
