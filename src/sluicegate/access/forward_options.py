"""How to ask the user's own service who may read what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from sluicegate.access.errors import BadCredentials
from sluicegate.errors import BadFieldValue
from sluicegate.http.fields import check_name

MAX_SECONDS: Final = 86400.0

_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")

_OF_THE_HOP: Final = frozenset(
    # RFC 9110, section 7.6.1 and the framing of RFC 9112: they are about the connection to us.
    {
        *("connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)

_OURS: Final = frozenset({"x-forwarded-for", "x-forwarded-method", "x-forwarded-uri"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOptions:
    """Where the service is, what it is told, and what of its answer counts.

    - `url`: asked with one GET for each request; secrets belong in `request_fields`, not in here.
    - `timeout_seconds`: for the whole of a question, the wait for one of `max_connections` included.
    - `forward_fields`: the client's fields that the service sees.
    - `request_fields`: fields that go out with every question; they may hold a secret.
    - `cache_seconds`: how long a verdict holds for the same request; 0 asks each time.
    - `subject_field`, `key_field`, `claim_fields` (claim to field): the fields of a 2xx answer that tell who
      it is, the key of the object (percent-encoded UTF-8), and what else is known.
    - `tls_verify`: true, false, or the path of a file of CA certificates (PEM).

    Raises `BadCredentials` for what cannot be used; no value of `request_fields` is shown.
    """

    url: str = field(repr=False)
    timeout_seconds: float = 5.0
    forward_fields: tuple[str, ...] = ("authorization", "cookie")
    cache_seconds: float = 0.0
    key_field: str | None = None
    subject_field: str | None = None
    claim_fields: Mapping[str, str] = field(default_factory=dict)
    request_fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls_verify: bool | str = True
    max_connections: int = 64

    def __post_init__(self) -> None:
        _check_url(self.url)
        if not 0 < self.timeout_seconds < MAX_SECONDS:
            raise BadCredentials(f"timeout_seconds is above 0 and below a day, got {self.timeout_seconds!r}")
        if not 0 <= self.cache_seconds < MAX_SECONDS:
            raise BadCredentials(f"cache_seconds is at least 0 and below a day, got {self.cache_seconds!r}")
        if self.max_connections < 1:
            raise BadCredentials(f"max_connections is at least 1, got {self.max_connections!r}")
        forwarded = _check_forwarded(self.forward_fields)
        _check_request_fields(self.request_fields, forwarded)
        _names("key_field", () if self.key_field is None else (self.key_field,))
        _names("subject_field", () if self.subject_field is None else (self.subject_field,))
        _names("claim_fields", self.claim_fields.values())

    @property
    def address(self) -> str:
        """The address for messages: without its query."""
        return self.url.partition("?")[0]


def _check_url(url: str) -> None:
    # What is no address stays out of the messages: it may hold a secret.
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise BadCredentials("url is no address") from exc
    if parts.scheme not in ("http", "https") or not host or _UNSENDABLE.search(url) or " " in url:
        raise BadCredentials("url must be an http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise BadCredentials("url has a user or a password: they belong in request_fields, as authorization")
    if parts.fragment:
        raise BadCredentials("url has a fragment, which nobody is sent")


def _names(setting: str, names: Iterable[str]) -> list[str]:
    """The names in lower case, each of them one."""
    try:
        return [check_name(name) for name in names]
    except BadFieldValue as exc:
        raise BadCredentials(f"{setting}: {exc}") from exc


def _check_forwarded(fields: tuple[str, ...]) -> list[str]:
    names = _names("forward_fields", fields)
    for name in names:
        # The service would take for ours what the client says of itself.
        if name in _OF_THE_HOP or name in ("forwarded", "host") or name.startswith("x-forwarded-"):
            raise BadCredentials(f"forward_fields: {name!r} of a client is never passed on")
    if len(set(names)) < len(names):
        raise BadCredentials(f"forward_fields: a name is there twice in {', '.join(names)}")
    return names


def _check_request_fields(fields: Mapping[str, str], forwarded: list[str]) -> None:
    names = _names("request_fields", fields)
    if len(set(names)) < len(names):
        raise BadCredentials(f"request_fields: a name is there twice in {', '.join(names)}")
    for name, value in zip(names, fields.values(), strict=True):
        if name in _OF_THE_HOP or name in _OURS:
            raise BadCredentials(f"request_fields: {name!r} is set here, and cannot be configured")
        if name in forwarded:
            raise BadCredentials(f"{name!r} is in request_fields and in forward_fields: leave it out of one")
        if _UNSENDABLE.search(value):
            raise BadCredentials(f"request_fields: the value of {name!r} has control characters")
