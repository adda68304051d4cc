"""What a signed link may say beside its path and its end, and how it is written in a token. Pure."""

from __future__ import annotations

import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from sluicegate.access.base import Address
from sluicegate.access.errors import BadCredentials
from sluicegate.http.addresses import parse_network
from sluicegate.http.paths import BadPath, canonical_path, canonical_segments

LONGEST_PREFIX: Final = 1024
"""Characters of a prefix: browsers ignore a longer path of a cookie, and would send it everywhere."""

LONGEST_FILENAME: Final = 255
LONGEST_SUBJECT: Final = 255

MOST: Final = 10**12
"""Above every number in a link: the year 33658, and more uses than anybody counts."""

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# What no field of an answer and no line of a log can hold: control characters, and halves of characters.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkClaims:
    """What a link says beside its path and its end; all of it optional.

    - `prefix`: everything below it may be read; a canonical path that begins and ends with a slash.
    - `not_before`: seconds of Unix time.
    - `network`: of the client's address, such as `"192.0.2.0/24"`.
    - `filename`: to save the answer under.
    - `uses`: how many GET requests it allows; `id` names it for that, and for being revoked.
    - `subject`: who it was made for, for the log.

    Raises `BadCredentials` for a claim that cannot be signed.
    """

    prefix: str | None = None
    not_before: int | None = None
    network: str | None = None
    filename: str | None = None
    uses: int | None = None
    id: str | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        for name, (_, kind) in _WRITTEN.items():
            _check_kind(name, getattr(self, name), kind)
        if self.prefix is not None:
            _check_prefix(self.prefix)
        if self.network is not None:
            _check_network(self.network)
        if self.filename is not None and not _is_filename(self.filename):
            raise BadCredentials(f"filename {self.filename[:50]!r} is not the name of a file")
        if self.subject is not None and not _is_text(self.subject, LONGEST_SUBJECT):
            raise BadCredentials(
                f"subject is 1 to {LONGEST_SUBJECT} characters, no control character among them"
            )
        if self.not_before is not None and not 0 <= self.not_before < MOST:
            raise BadCredentials(f"not_before is a Unix time in seconds, found {self.not_before!r}")
        if self.uses is not None and not 1 <= self.uses < MOST:
            raise BadCredentials(f"uses is a number from 1 on, found {self.uses!r}")
        if self.id is not None and not is_link_id(self.id):
            raise BadCredentials("id is 1 to 64 letters, digits, '_' and '-'")


_WRITTEN: Final[Mapping[str, tuple[str, type]]] = {
    "prefix": ("p", str),
    "not_before": ("nb", int),
    "network": ("net", str),
    "filename": ("fn", str),
    "uses": ("n", int),
    "id": ("id", str),
    "subject": ("sub", str),
}
"""Claims as they are written in a token: the name there, and what it holds."""


def new_link_id() -> str:
    """An id that no other link has."""
    return secrets.token_urlsafe(12)


def is_link_id(text: str) -> bool:
    """Whether this can be the id of a link."""
    return _LINK_ID.fullmatch(text) is not None


def canonical_form(path: str) -> str:
    """The canonical form of a path that is to be signed; raises `BadCredentials`."""
    if not isinstance(path, str):
        raise BadCredentials(f"the path {path!r} is of type {type(path).__name__}, and must be text")
    try:
        return canonical_path(canonical_segments(path.encode()))
    except (BadPath, UnicodeEncodeError) as exc:
        raise BadCredentials(f"the path {path[:100]!r} cannot be signed: {exc}") from exc


def encode(claims: LinkClaims) -> str:
    """The claims as they are written in a token; nothing for none."""
    said = {
        short: value for name, (short, _) in _WRITTEN.items() if (value := getattr(claims, name)) is not None
    }
    if not said:
        return ""
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode("ascii")


def decode(encoded: str) -> LinkClaims | None:
    """The claims that were signed; `None` for those that another version of this file has made."""
    if not encoded:
        return _NO_CLAIMS
    try:
        said = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
        # What is not understood might be a condition.
        if not isinstance(said, dict) or said.keys() - _UNDERSTOOD:
            return None
        return LinkClaims(**{name: said.get(short) for name, (short, _) in _WRITTEN.items()})
    except (NotBase64, ValueError, RecursionError):
        return None


def _check_kind(name: str, value: object, kind: type) -> None:
    # To Python, True is a number.
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise BadCredentials(f"{name} is of the type {kind.__name__}, found {type(value).__name__}")


def _check_prefix(prefix: str) -> None:
    if not (prefix.startswith("/") and prefix.endswith("/")) or len(prefix) > LONGEST_PREFIX:
        raise BadCredentials(
            f"the prefix {prefix[:100]!r} must begin and end with '/', for it would allow '/ab' with '/a', "
            f"and have at most {LONGEST_PREFIX} characters"
        )
    if (canonical := canonical_form(prefix)) != prefix:
        raise BadCredentials(f"the prefix {prefix[:100]!r} must be written {canonical[:100]!r}")
    # It is the path of a cookie, whose attributes end at a semicolon; a comma may part two fields.
    if ";" in prefix or "," in prefix:
        raise BadCredentials(f"the prefix {prefix[:100]!r} must have no ';' and no ','")


def _check_network(network: str) -> None:
    try:
        parse_network(network)
    except ValueError as exc:
        raise BadCredentials(f"network {network[:50]!r} is not one such as '192.0.2.0/24'") from exc


def within(client: Address | None, network: str) -> bool:
    """Whether a client is known to be in a network; an IPv4-mapped address is the one inside it."""
    mapped = client.ipv4_mapped if isinstance(client, IPv6Address) else None
    address = client if mapped is None else mapped
    return address is not None and address in parse_network(network)


def _is_filename(name: str) -> bool:
    return _is_text(name, LONGEST_FILENAME) and not {"/", "\\"}.intersection(name) and name not in (".", "..")


def _is_text(text: str, longest: int) -> bool:
    return len(text) <= longest and bool(text.strip()) and not _UNSAFE.search(text)


_NO_CLAIMS: Final = LinkClaims()
_UNDERSTOOD: Final = frozenset(short for short, _ in _WRITTEN.values())
