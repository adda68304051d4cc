"""What a route leads to: templates of object keys and upstream URLs, and how a request's values fill them.

A value fills path segments only. The store, and the scheme, host, port and query of an upstream, are literal.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Self
from urllib.parse import quote, unquote

from sluicegate.http.paths import BadPath, has_control, has_dot_piece

from .templates import NAME, PLACEHOLDER, TemplateError

_STORE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_CLAIM = re.compile(r"claims\.[A-Za-z_][A-Za-z0-9_]*")
_UPSTREAM = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_MALFORMED_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# RFC 3986, section 3.3: what a segment may hold as it is, beside the unreserved characters; "%" starts an
# escape that the operator wrote. Values get none of these: all but unreserved characters is encoded.
_LITERAL_SAFE = "%!$&'()*+,;=:@/"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place in a target template that a path parameter fills, or a claim: `{claims.sub}`."""

    name: str


CLAIM_PREFIX: Final = "claims."
"""How the name of a placeholder begins that is filled with what is known of who asks."""


@dataclass(frozen=True, slots=True)
class ObjectTemplate:
    """An object of a store, such as `images:test/{task_id}/image.jpg`.

    Where the store is a placeholder, whoever renders the template holds its value against a list.
    """

    text: str
    store: str | Placeholder
    key: tuple[str | Placeholder, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `STORE:KEY`, where STORE is a name or one placeholder; raises `TemplateError`."""
        store, colon, key = text.partition(":")
        if not colon or not key:
            raise TemplateError(text, "STORE:KEY, such as 'images:test/{task_id}/image.jpg'")
        found = PLACEHOLDER.fullmatch(store)
        if found is not None and NAME.fullmatch(found[1]):
            return cls(text, Placeholder(found[1]), _pieces(key))
        if not _STORE_NAME.fullmatch(store):
            raise TemplateError(store, "a store's name before the ':', or one placeholder as a whole")
        return cls(text, store, _pieces(key))

    @property
    def names(self) -> frozenset[str]:
        """The parameters and claims that the store and the key need."""
        store = frozenset({self.store.name}) if isinstance(self.store, Placeholder) else frozenset()
        return _names(self.key) | store

    def render(self, params: Mapping[str, str]) -> tuple[str, str]:
        """Return the store's name and the key; raises `BadPath` where the key would hold a dot segment."""
        key = _filled(self.key, params.__getitem__)
        _check_dots(key)
        return params[self.store.name] if isinstance(self.store, Placeholder) else self.store, key


@dataclass(frozen=True, slots=True)
class UpstreamTemplate:
    """A URL of another service, such as `http://host/stream-bytes/{size}`: placeholders in its path alone.

    `spanning` names the parameters whose slashes separate segments (those of type `path`); in all others a
    slash is encoded. The query is kept out of `repr`, for it may hold a key.
    """

    base_url: str
    path: tuple[str | Placeholder, ...]
    query: str = field(default="", repr=False)
    spanning: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str, *, spanning: Collection[str] = frozenset()) -> Self:
        """Read an upstream URL; raises `TemplateError`, which never quotes user name, password or query."""
        found = _UPSTREAM.fullmatch(text)
        if found is None or found[1].lower() not in {"http", "https"}:
            raise TemplateError(without_secrets(text), "an http:// or https:// URL")
        if any(char.isspace() for char in text) or has_control(text):
            raise TemplateError(without_secrets(text), "a URL without spaces and control characters")
        scheme, authority, path, query, fragment = found.groups(default="")
        if fragment:
            raise TemplateError(fragment, "a URL without a fragment")
        base_url = f"{scheme.lower()}://{_authority(authority)}"
        return cls(base_url, _upstream_path(path[1:]), _query(query), frozenset(spanning))

    @property
    def names(self) -> frozenset[str]:
        """The parameters that the path needs."""
        return _names(self.path)

    def render(self, params: Mapping[str, str]) -> str:
        """Return what follows `base_url` and a slash, percent-encoded: the path and the query.

        The URL is `f"{base_url}/{rendered}"`. Only that concatenation is safe: a value may begin with
        slashes, which resolving a reference by RFC 3986, section 5.2 would read as another host. Raises
        `BadPath` where a value would make a dot segment.
        """
        path = _filled(self.path, lambda name: quote(params[name], safe="/" if name in self.spanning else ""))
        _check_dots(unquote(path))
        return path + self.query


def without_secrets(url: str) -> str:
    """Mask what may be a secret in a URL: what stands before an `@`, and the query."""
    scheme, separator, rest = url.partition("://")
    rest, query_mark, _ = (rest if separator else scheme).partition("?")
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    shown = f"{scheme}://{rest}" if separator else rest
    return f"{shown}?***" if query_mark else shown


def _pieces(text: str) -> tuple[str | Placeholder, ...]:
    """Cut a target into its literal text and its placeholders, and check the literal text."""
    # re.split with one group alternates: literal, name, literal, name, ..., literal.
    parts = PLACEHOLDER.split(text)
    literals, names = parts[::2], parts[1::2]
    for name in names:
        if not NAME.fullmatch(name) and not _CLAIM.fullmatch(name):
            raise TemplateError(
                f"{{{name}}}", "a placeholder {name} whose name the path of the route declares"
            )
    if any("{" in literal or "}" in literal for literal in literals):
        raise TemplateError(text, "braces in pairs, around the name of a parameter")
    if any(has_control(literal) for literal in literals):
        raise TemplateError(text, "text without control characters")
    # A placeholder stands for at least one character: only what is literally a dot segment is refused here.
    if has_dot_piece(PLACEHOLDER.sub("{}", text)):
        raise TemplateError(text, "text without '.' and '..' segments")
    return tuple(
        Placeholder(part) if index % 2 else part for index, part in enumerate(parts) if index % 2 or part
    )


def _upstream_path(text: str) -> tuple[str | Placeholder, ...]:
    if _MALFORMED_ESCAPE.search(text):
        raise TemplateError(text, "percent escapes of two hexadecimal digits")
    if has_dot_piece(unquote(text)):
        raise TemplateError(text, "a path without '.' and '..' segments")
    return tuple(
        piece if isinstance(piece, Placeholder) else quote(piece, safe=_LITERAL_SAFE)
        for piece in _pieces(text)
    )


def _authority(text: str) -> str:
    if "@" in text:
        raise TemplateError(without_secrets(f"//{text}"), "a URL without a user name and password")
    if "{" in text or "}" in text:
        raise TemplateError(text, "a literal host and port (a placeholder may stand in the path only)")
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None or not _is_host(found[1]):
        raise TemplateError(text, "a host in ASCII, with or without ':' and a port")
    if found[2] is not None and not 1 <= int(found[2]) <= 65535:
        raise TemplateError(text, "a port from 1 to 65535")
    return text.lower()


def _is_host(text: str) -> bool:
    if not text.startswith("["):
        return True
    try:
        IPv6Address(text[1:-1])
    except AddressValueError:
        return False
    return True


def _query(text: str) -> str:
    found = PLACEHOLDER.search(text)
    if found is not None:
        raise TemplateError(found[0], "a literal query (a placeholder may stand in the path only)")
    if "{" in text or "}" in text:
        raise TemplateError("a brace in the query", "a literal query, its braces written %7B and %7D")
    return quote(text, safe=_LITERAL_SAFE + "?")


def _names(pieces: tuple[str | Placeholder, ...]) -> frozenset[str]:
    return frozenset(piece.name for piece in pieces if isinstance(piece, Placeholder))


def _filled(pieces: tuple[str | Placeholder, ...], value: Callable[[str], str]) -> str:
    return "".join(value(piece.name) if isinstance(piece, Placeholder) else piece for piece in pieces)


def _check_dots(text: str) -> None:
    if has_dot_piece(text):
        raise BadPath("the path leads to a '.' or '..' segment")
