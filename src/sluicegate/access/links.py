"""Signed links: whoever has one may read one path, or everything below a prefix, until it expires.

A link is a path with a token, as a query parameter or as a cookie:

    e.KEY-ID.EXPIRES.CLAIMS.MAC      for exactly the path that it is sent with
    p.KEY-ID.EXPIRES.CLAIMS.MAC      for what begins with the prefix among its claims

MAC is HMAC-SHA256 (RFC 2104) over everything before it, the method and the exact path, each on a line of its
own. No claim is read before it has been checked. Nothing is looked up but the key, so a check costs no I/O.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, Literal

from sluicegate.access.base import (
    AccessRequest,
    Grant,
    Refusal,
    Stateless,
    Verdict,
    is_cookie_name,
    is_parameter_name,
)
from sluicegate.access.errors import BadCredentials, check_mapping
from sluicegate.access.link_claims import (
    MOST,
    LinkClaims,
    canonical_form,
    decode,
    encode,
    new_link_id,
    within,
)

SHORTEST_KEY: Final = 32
"""Characters of a key: fewer could be guessed. `sluicegate new-key` makes one of 256 bits."""

LONGEST_TOKEN: Final = 2048
"""Characters of a token: nothing longer is looked at. A file name takes the most, and has 255 at most."""

EXACT: Final = "e"
PREFIX: Final = "p"

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = re.compile(r"([ep])\.([A-Za-z0-9_-]{1,64})\.([0-9]{1,12})\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]{43})")

CountUse = Callable[[str, int, int], Awaitable[bool | None]]
"""Counts a use: the link's id, how many it has, seconds until it may be forgotten. False if none is left, and
`None` where nobody can count."""

IsRevoked = Callable[[str], bool]


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
        if not is_parameter_name(self.parameter):
            raise BadCredentials(f"parameter {self.parameter!r} needs letters, digits, '.', '_', '~' and '-'")
        if not is_cookie_name(self.cookie):
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
        check_mapping("keys", keys, "{'k1': secret}")
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
        if not isinstance(expires_in, int | float) or not 0 < expires_in < MOST / 10:
            raise BadCredentials(f"expires_in is a number of seconds above 0, found {expires_in!r}")
        if said.uses is not None and said.id is None:
            said = replace(said, id=new_link_id())
        kind, bound = (EXACT, canonical_form(path)) if said.prefix is None else (PREFIX, "")
        expires = ceil(self._clock() + expires_in)
        head = f"{kind}.{self._signing}.{expires}.{encode(said)}"
        token = f"{head}.{_mac(self._keys[self._signing], head, bound)}"
        if len(token) > LONGEST_TOKEN:
            raise BadCredentials(f"the token would have {len(token)} characters, {LONGEST_TOKEN} are allowed")
        return token

    def link(self, path: str, expires_in: float, claims: LinkClaims | None = None) -> str:
        """Return the path, in its canonical form, with its token as a query parameter.

        Raises `BadCredentials` for what cannot be signed, a path that is not below `claims.prefix` among it.
        """
        canonical = canonical_form(path)
        prefix = None if claims is None else claims.prefix
        if prefix is not None and not canonical.startswith(prefix):
            raise BadCredentials(f"the path {canonical[:100]!r} is not below the prefix {prefix[:100]!r}")
        return f"{canonical}?{self.options.parameter}={self.sign(canonical, expires_in, claims)}"

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
        if read.claims.network is not None and not within(request.client, read.claims.network):
            return _refused("the client is not in the link's network")
        if read.claims.uses is not None and (refusal := await self._used(read, request)):
            return refusal
        sets_cookie = in_query and self.options.cookie_for_prefix and read.claims.prefix is not None
        return Grant(
            subject=read.claims.subject or read.claims.id or read.key_id,
            filename=read.claims.filename,
            cookie=self._cookie(token, read, request.root) if sets_cookie else None,
        )

    def check(self, token: str, method: str, path: str) -> SignedLink | Refusal:
        """Read a token that came with a canonical path: who made it had a key, and it has not ended.

        The claims that depend on the client, its network and the uses, are not looked at.
        """
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
        claims = decode(encoded)
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

    async def _used(self, link: SignedLink, request: AccessRequest) -> Refusal | None:
        claims = link.claims
        if request.method != "GET":
            return None
        if self._count_use is None or claims.id is None or claims.uses is None:
            return _refused("links with a number of uses cannot be counted here", status=503)
        seconds = max(1, ceil(link.expires - self._clock()))
        left = await self._count_use(claims.id, claims.uses, seconds)
        if left is None:
            return _refused(f"the uses of the link {claims.id!r} cannot be counted now", status=503)
        return None if left else _refused(f"the link {claims.id!r} has no use left")

    def _cookie(self, token: str, link: SignedLink, root: str) -> str:
        lifetime = max(1, int(link.expires - self._clock()))
        # Its attributes end at a semicolon, and a comma may part two fields; no prefix has either.
        path = f"{root}{link.claims.prefix}".replace(";", "%3B").replace(",", "%2C")
        secure = "" if self.options.insecure_cookie else "; Secure"
        return (
            f"{self.options.cookie}={token}; Path={path}; Max-Age={lifetime}; HttpOnly; SameSite=Lax{secure}"
        )


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A link whose token has been checked: the key that signed it, its end in Unix time, and its claims."""

    key_id: str
    expires: int
    claims: LinkClaims


def _checked_key(key_id: str, secret: str) -> hmac.HMAC:
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise BadCredentials(f"the key id {key_id!r:.66} needs 1 to 64 letters, digits, '_' and '-'")
    if not isinstance(secret, str):
        raise BadCredentials(
            f"the key {key_id!r} is of type {type(secret).__name__}, and must be text of at least "
            f"{SHORTEST_KEY} characters: 'sluicegate new-key' makes one, or secrets.token_urlsafe(32)"
        )
    if len(secret) < SHORTEST_KEY:
        raise BadCredentials(
            f"the key {key_id!r} has {len(secret)} characters, and needs at least {SHORTEST_KEY}: "
            "'sluicegate new-key' makes one"
        )
    try:
        return hmac.new(secret.encode(), digestmod="sha256")
    except UnicodeEncodeError:
        # Without its cause, which holds the key.
        raise BadCredentials(f"the key {key_id!r} has characters that cannot be written in UTF-8") from None


def _mac(key: hmac.HMAC, head: str, path: str) -> str:
    # A canonical path is ASCII. One that is not must not raise: it is the path of no link.
    signed = f"{head}\nGET\n{path}".encode("utf-8", "surrogatepass")
    # A copy: to begin with the key anew takes OpenSSL three times as long as all the rest.
    code = key.copy()
    code.update(signed)
    return urlsafe_b64encode(code.digest())[:43].decode("ascii")


def _refused(reason: str, *, status: Literal[403, 503] = 403, absent: bool = False) -> Refusal:
    # No scheme of RFC 9110, section 11 is behind a link: no challenge, so no 401.
    return Refusal(reason=reason, status=status, absent=absent)
