"""Signed links: whoever has one may read one path, or everything below a prefix, until it expires.

A link is a path with a token, as a query parameter or as a cookie:

    e.KEY-ID.EXPIRES.CLAIMS.MAC      for exactly the path that it is sent with
    p.KEY-ID.EXPIRES.CLAIMS.MAC      for what begins with the prefix among its claims

MAC is HMAC-SHA256 (RFC 2104) over everything before it, the method and the exact path, each on a line of its
own. No claim is read before it has been checked. Nothing is looked up but the key, so a check costs no I/O.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from math import ceil
from typing import Any, Final, Literal

from sluicegate.access.base import AccessRequest, Grant, Refusal, Stateless, Verdict
from sluicegate.access.errors import BadCredentials
from sluicegate.http.paths import BadPath, canonical_path, canonical_segments

SHORTEST_KEY: Final = 32
"""Characters of a key: fewer could be guessed. `sluicegate new-key` makes one of 256 bits."""

LONGEST_TOKEN: Final = 2048
"""Characters of a token: nothing longer is looked at. A file name takes the most, and has 255 at most."""

LONGEST_PREFIX: Final = 1024
LONGEST_FILENAME: Final = 255

MOST: Final = 10**12
"""Above every number in a link: the year 33658, and more uses than anybody counts."""

EXACT: Final = "e"
PREFIX: Final = "p"

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = re.compile(r"([ep])\.([A-Za-z0-9_-]{1,64})\.([0-9]{1,12})\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]{43})")
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = re.compile(r"[A-Za-z0-9._~-]+")
_UNSAFE_NAME = re.compile(r"[/\\\x00-\x1f\x7f]")

CountUse = Callable[[str, int, int], Awaitable[bool | None]]
"""Counts a use: the link's id, how many it has, seconds until it may be forgotten. False if none is left, and
`None` where nobody can count."""

IsRevoked = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkClaims:
    """What a link says beside its path and its end; all of it optional.

    - `prefix`: everything below it may be read; it begins and ends with a slash, percent-encoded.
    - `not_before`: seconds of Unix time.
    - `network`: of the client's address, such as `"192.0.2.0/24"`.
    - `filename`: to save the answer under.
    - `uses`: how many GET requests it allows; `id` names it for that, and for being revoked.
    - `subject`: who it was made for, for the log.
    """

    prefix: str | None = None
    not_before: int | None = None
    network: str | None = None
    filename: str | None = None
    uses: int | None = None
    id: str | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        if self.prefix is not None:
            _check_prefix(self.prefix)
        if self.network is not None:
            _check_network(self.network)
        if self.filename is not None and not _is_filename(self.filename):
            raise BadCredentials(f"filename {self.filename[:50]!r} is not the name of a file")
        if self.not_before is not None and not 0 <= self.not_before < MOST:
            raise BadCredentials(f"not_before is a Unix time in seconds, found {self.not_before!r}")
        if self.uses is not None and not 1 <= self.uses < MOST:
            raise BadCredentials(f"uses is a number from 1 on, found {self.uses!r}")
        if self.id is not None and not is_link_id(self.id):
            raise BadCredentials("id is 1 to 64 letters, digits, '_' and '-'")


_SHORT: Final = {
    "prefix": "p",
    "not_before": "nb",
    "network": "net",
    "filename": "fn",
    "uses": "n",
    "id": "id",
    "subject": "sub",
}
"""Claims as they are written in a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """How links are sent: the names of the query parameter and of the cookie.

    `cookie_for_prefix` answers a prefix link in a query with the cookie, so that a player which gets a
    playlist by one link gets its segments too; `"Secure"` goes with it unless `insecure_cookie`.
    """

    parameter: str = "link"
    cookie: str = "sluicegate_link"
    cookie_for_prefix: bool = False
    insecure_cookie: bool = False

    def __post_init__(self) -> None:
        if not _PARAMETER.fullmatch(self.parameter):
            raise BadCredentials(f"parameter {self.parameter!r} needs letters, digits, '.', '_', '~' and '-'")
        if not _COOKIE_NAME.fullmatch(self.cookie):
            raise BadCredentials(f"cookie {self.cookie!r} is not the name of a cookie")


DEFAULT_OPTIONS: Final = LinkOptions()


class SignedLinks(Stateless):
    """Makes links, and grants what they allow. The first of `keys` (secrets by id) signs; all of them check.

    To rotate: put a new key first, and take the old one away when its last link has expired, or at once if
    all of its links are to end. `is_revoked` ends single links by their ids; `count_use` is needed for links
    with a number of uses, which are refused without it.

    Raises `BadCredentials` for keys that cannot be used.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        options: LinkOptions = DEFAULT_OPTIONS,
        *,
        is_revoked: IsRevoked | None = None,
        count_use: CountUse | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = {key_id: _checked_key(key_id, secret) for key_id, secret in keys.items()}
        if not self._keys:
            raise BadCredentials("signed links need at least one key")
        self._signing = next(iter(self._keys))
        self.options = options
        self._is_revoked = is_revoked
        self._count_use = count_use
        self._clock = clock

    # Making links.

    def sign(self, path: str, expires_in: float, claims: LinkClaims | None = None) -> str:
        """Return a token for a path (percent-encoded, as a client asks for it) for so many seconds.

        With `claims.prefix` the path has no part in it. Raises `BadCredentials` for what cannot be signed.
        """
        said = claims or LinkClaims()
        if not 0 < expires_in < MOST / 10:
            raise BadCredentials(f"expires_in is a number of seconds above 0, found {expires_in!r}")
        if said.uses is not None and said.id is None:
            said = LinkClaims(**{**_as_dict(said), "id": new_link_id()})
        kind, bound = (EXACT, _canonical(path)) if said.prefix is None else (PREFIX, "")
        expires = ceil(self._clock() + expires_in)
        head = f"{kind}.{self._signing}.{expires}.{_encode(said)}"
        token = f"{head}.{_mac(self._keys[self._signing], head, bound)}"
        if len(token) > LONGEST_TOKEN:
            raise BadCredentials(f"the token would have {len(token)} characters, {LONGEST_TOKEN} are allowed")
        return token

    def link(self, path: str, expires_in: float, claims: LinkClaims | None = None) -> str:
        """Return the path with its token as a query parameter."""
        return f"{path}?{self.options.parameter}={self.sign(path, expires_in, claims)}"

    # Checking them.

    async def verify(self, request: AccessRequest) -> Verdict:
        """Grant what a link in the query or in the cookie allows."""
        token, in_query = request.parameter(self.options.parameter), True
        if token is None:
            token, in_query = request.cookie(self.options.cookie), False
        if token is None:
            return _refused("no link", absent=True)
        read = self.check(token, request.method, request.path)
        if isinstance(read, Refusal):
            return read
        if refusal := self._refusal(read, request):
            return refusal
        if read.claims.uses is not None and (refusal := await self._used(read, request)):
            return refusal
        sets_cookie = in_query and self.options.cookie_for_prefix and read.claims.prefix is not None
        return Grant(
            subject=read.claims.subject or read.claims.id or read.key_id,
            filename=read.claims.filename,
            cookie=self._cookie(token, read) if sets_cookie else None,
        )

    def check(self, token: str, method: str, path: str) -> SignedLink | Refusal:
        """Read a token that came with a canonical path: who made it had a key, and it has not ended."""
        if method not in ("GET", "HEAD"):
            return _refused("links are for GET and HEAD")
        found = _TOKEN.fullmatch(token) if len(token) <= LONGEST_TOKEN else None
        if found is None:
            return _refused("not a link's token")
        kind, key_id, expires, encoded, mac = found.groups()
        key = self._keys.get(key_id)
        if key is None:
            return _refused(f"the key {key_id!r} is not known")
        expected = _mac(key, token[: found.end(4)], path if kind == EXACT else "")
        if not hmac.compare_digest(mac, expected):
            return _refused("the signature is not that of this path")
        claims = _decode(encoded)
        if claims is None or (claims.prefix is None) != (kind == EXACT):
            return _refused("the claims of the link cannot be read")
        return self._judged(SignedLink(key_id, int(expires), claims), path)

    def _judged(self, link: SignedLink, path: str) -> SignedLink | Refusal:
        now, claims = self._clock(), link.claims
        if now >= link.expires:
            return _refused("the link has expired")
        if claims.not_before is not None and now < claims.not_before:
            return _refused("the link is not valid yet")
        # It ends with a slash: "/a/" allows "/a/b", and never "/ab".
        if claims.prefix is not None and not path.startswith(claims.prefix):
            return _refused("the path is not below the link's prefix")
        if claims.id is not None and self._is_revoked is not None and self._is_revoked(claims.id):
            return _refused(f"the link {claims.id!r} has been revoked")
        return link

    def _refusal(self, link: SignedLink, request: AccessRequest) -> Refusal | None:
        network = link.claims.network
        if network is not None and (request.client is None or request.client not in ip_network(network)):
            return _refused("the client is not in the link's network")
        return None

    async def _used(self, link: SignedLink, request: AccessRequest) -> Refusal | None:
        claims = link.claims
        if request.method != "GET":
            return None
        if self._count_use is None or claims.id is None or claims.uses is None:
            return _refused("links with a number of uses cannot be counted here", status=503)
        seconds = max(1, ceil(link.expires - self._clock()))
        match await self._count_use(claims.id, claims.uses, seconds):
            case None:
                return _refused(f"the uses of the link {claims.id!r} cannot be counted now", status=503)
            case False:
                return _refused(f"the link {claims.id!r} has no use left")
            case True:
                return None

    def _cookie(self, token: str, link: SignedLink) -> str:
        lifetime = max(1, int(link.expires - self._clock()))
        secure = "" if self.options.insecure_cookie else "; Secure"
        return (
            f"{self.options.cookie}={token}; Path={link.claims.prefix}; Max-Age={lifetime}; "
            f"HttpOnly; SameSite=Lax{secure}"
        )


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A link whose token has been checked: the key that signed it, its end in Unix time, and its claims."""

    key_id: str
    expires: int
    claims: LinkClaims


def new_link_id() -> str:
    """An id that no other link has."""
    return secrets.token_urlsafe(12)


def is_link_id(text: str) -> bool:
    """Whether this can be the id of a link."""
    return _KEY_ID.fullmatch(text) is not None


def _checked_key(key_id: str, secret: str) -> bytes:
    if not _KEY_ID.fullmatch(key_id):
        raise BadCredentials(f"the key id {key_id[:64]!r} needs 1 to 64 letters, digits, '_' and '-'")
    if len(secret) < SHORTEST_KEY:
        raise BadCredentials(
            f"the key {key_id!r} has {len(secret)} characters, and needs at least {SHORTEST_KEY}: "
            "'sluicegate new-key' makes one"
        )
    return secret.encode()


def _canonical(path: str) -> str:
    try:
        return canonical_path(canonical_segments(path.encode()))
    except (BadPath, UnicodeEncodeError) as exc:
        raise BadCredentials(f"the path {path[:100]!r} cannot be signed: {exc}") from exc


def _check_prefix(prefix: str) -> None:
    if not (prefix.startswith("/") and prefix.endswith("/")) or len(prefix) > LONGEST_PREFIX:
        raise BadCredentials(
            f"the prefix {prefix[:100]!r} must begin and end with '/', for it would allow '/ab' with '/a', "
            f"and have at most {LONGEST_PREFIX} characters"
        )
    if any(char in prefix for char in ';,"\\ ') or _canonical(prefix) != prefix:
        raise BadCredentials(f'the prefix {prefix[:100]!r} is not percent-encoded, or holds one of ; , " \\')


def _check_network(network: str) -> None:
    try:
        ip_network(network)
    except ValueError as exc:
        raise BadCredentials(f"network {network[:50]!r} is not one such as '192.0.2.0/24'") from exc


def _is_filename(name: str) -> bool:
    return 0 < len(name) <= LONGEST_FILENAME and bool(name.strip()) and not _UNSAFE_NAME.search(name)


def _mac(key: bytes, head: str, path: str) -> str:
    digest = hmac.digest(key, f"{head}\nGET\n{path}".encode(), "sha256")
    return urlsafe_b64encode(digest)[:43].decode("ascii")


def _as_dict(claims: LinkClaims) -> dict[str, Any]:
    return {name: value for name in _SHORT if (value := getattr(claims, name)) is not None}


def _encode(claims: LinkClaims) -> str:
    said = {_SHORT[name]: value for name, value in _as_dict(claims).items()}
    if not said:
        return ""
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode("ascii")


def _decode(encoded: str) -> LinkClaims | None:
    """The claims that were signed; `None` for those that another version of this file has made."""
    if not encoded:
        return _NO_CLAIMS
    try:
        said = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        claims = LinkClaims(**{name: said.pop(short) for name, short in _SHORT.items() if short in said})
    except (NotBase64, ValueError, TypeError, AttributeError, RecursionError):
        return None
    # What is not understood might be a condition.
    return None if said else claims


_NO_CLAIMS: Final = LinkClaims()


def _refused(reason: str, *, status: Literal[403, 503] = 403, absent: bool = False) -> Refusal:
    # No scheme of RFC 9110, section 11 is behind a link: no challenge, so no 401.
    return Refusal(reason=reason, status=status, absent=absent)
