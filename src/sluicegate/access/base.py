"""The contract between what guards a route and the ways in which a client shows who it is.

A verifier looks at one request and grants it or refuses it. It never raises for what a client sent, and what
it refuses with is for the operator's log: the client is told a status and a challenge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Final, Protocol, Self

from sluicegate.http.paths import canonical_path

Address = IPv4Address | IPv6Address

_PARAMETER = re.compile(r"[A-Za-z0-9._~-]+")
# RFC 6265, section 4.1.1: a cookie-name is a token.
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

UNVERIFIED_RETRY_SECONDS: Final = 2
"""When to come again where nobody could be asked who may read."""

NO_CLAIMS: Final[Mapping[str, str]] = MappingProxyType({})


def is_parameter_name(text: str) -> bool:
    """Whether a query parameter can be called so: nothing in its name would be percent-encoded."""
    return _PARAMETER.fullmatch(text) is not None


def is_cookie_name(text: str) -> bool:
    """Whether a cookie can be called so."""
    return _COOKIE_NAME.fullmatch(text) is not None


class AccessRequest:
    """A request as far as verifiers may look at it: nothing here comes from the `Host` field.

    - `method`: as it was sent.
    - `path`: the one canonical path, which routing and keys come from too: it begins with a slash, and each
      segment is percent-encoded but for the characters that RFC 3986, section 3.3 allows in one. Behind the
      gateway it is made of what its route is written with, and of the values that the key is made of.
    - `query`: what stands behind the `?`, as it was sent.
    - `client`: the client's address; `None` where it has none, as on a Unix socket.
    - `root`: where the application is mounted: what stands before `path` for the client, percent-encoded.
    """

    __slots__ = ("_headers", "client", "method", "path", "query", "root")

    def __init__(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Iterable[tuple[bytes, bytes]] = (),
        client: Address | None = None,
    ) -> None:
        self.root = ""
        self.method = method
        self.path = path
        self.query = query
        self.client = client
        self._headers = headers

    @classmethod
    def of(cls, scope: Mapping[str, Any], path: str, client: Address | None) -> Self:
        """The request of an ASGI scope, whose canonical path and client somebody has found out."""
        query: bytes = scope["query_string"]
        request = cls(scope["method"], path, query.decode("latin-1"), scope["headers"], client)
        if root := scope.get("root_path"):
            request.root = canonical_path(tuple(root.split("/")[1:]))
        return request

    def field(self, name: bytes) -> str | None:
        """The value of the field of this lower-case name; of several all, joined by ", "; else `None`."""
        values = [value for key, value in self._headers if key == name]
        return b", ".join(values).decode("latin-1") if values else None

    def cookie(self, name: str) -> str | None:
        """The value of the first cookie of this name, as it was sent."""
        sent = self.field(b"cookie")
        if sent is None or name not in sent:
            return None
        # RFC 6265, section 5.4: a value has no semicolon. Two fields, as HTTP/2 allows, are joined by ", ".
        for pair in sent.replace(", ", "; ").split(";"):
            key, separator, value = pair.strip().partition("=")
            if separator and key == name:
                return value
        return None

    def parameter(self, name: str) -> str | None:
        """The value of the first query parameter of this name, as it was sent: nothing is decoded."""
        if name not in self.query:
            return None
        for pair in self.query.split("&"):
            key, separator, value = pair.partition("=")
            if separator and key == name:
                return value
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Access: to whom, and on which terms.

    - `subject`: who it is, for the log and for limits; `None` for nobody in particular.
    - `claims`: what is known of who it is, as text; templates of keys may ask for it.
    - `key`: the key of the object, where the verifier decides on it.
    - `filename`: the name to save the answer under.
    - `cookie`: a `Set-Cookie` value that goes with the answer.
    """

    subject: str | None = None
    claims: Mapping[str, str] = field(default_factory=lambda: NO_CLAIMS)
    key: str | None = None
    filename: str | None = None
    cookie: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No access.

    - `reason`: for the log, never for the client; it holds no secret and nothing of a credential.
    - `status`: 401 where other credentials could help, 403 where not, 400 where they are no credentials, 503
      where nobody could be asked.
    - `challenge`: the `WWW-Authenticate` value, which a 401 must have.
    - `absent`: whether the request showed nothing of the kind that the verifier looks for.
    """

    reason: str
    status: int = 401
    challenge: str | None = None
    absent: bool = False


Verdict = Grant | Refusal


class Verifier(Protocol):
    """One way to show who one is.

    - `verify` MUST NOT raise for anything that a client can send.
    - `verify` MUST refuse where it cannot find out, with the status 503.
    - A verifier MUST be entered before it is asked, and left by the task that entered it.
    """

    async def verify(self, request: AccessRequest) -> Verdict:
        """Grant or refuse."""
        ...

    async def __aenter__(self) -> Self:
        """Open what it needs. Nobody is asked anything yet that could fail."""
        ...

    async def __aexit__(self, *exc_info: object) -> None:
        """Close it."""
        ...


class Stateless:
    """Base of verifiers that hold nothing that would have to be opened."""

    async def __aenter__(self) -> Self:
        """Do nothing."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Do nothing."""
