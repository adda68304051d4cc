"""Access tokens that somebody else signed: JSON Web Tokens (RFC 7519), shown as RFC 6750 says.

A token is trusted for its signature alone, by a key and an algorithm that the operator named. What it says of
where its key may be found, or of how it must be read, is never obeyed (RFC 8725).
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

import jwt

from sluicegate.access.base import AccessRequest, Grant, Refusal, Verdict
from sluicegate.access.bearer_options import BearerOptions
from sluicegate.access.key_sets import Issuer, JwksUrl, KeySource
from sluicegate.access.keys import VerificationKey

MAX_TOKEN_CHARS: Final = 8 * 1024
"""The longest token that is looked at; servers bound a whole request head to not much more."""

MAX_GRANTS: Final = 4096
"""How many checked tokens are remembered: their claims are at most as long as a token."""

GRANT_SECONDS: Final = 60.0
"""How long a checked token is remembered."""

SPACED_CLAIMS: Final = ("scope", "scp")
"""Claims that are lists with spaces between (RFC 8693, section 4.2; Microsoft's name for the same)."""

TIMES: Final = ("exp", "nbf", "iat")

_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)
"""What PyJWT and the libraries below it raise for a token: the last ones in older versions."""

REASONS: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    # The first row that fits wins, so subclasses stand above their bases. PyJWT's messages may quote a token.
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
    (jwt.InvalidIssuerError, "the token is from another issuer"),
    (jwt.MissingRequiredClaimError, "the token lacks one of the claims iss, aud and exp"),
    (jwt.InvalidSignatureError, "the token's signature does not fit"),
    (jwt.InvalidAlgorithmError, "the token's algorithm is not allowed"),
    (jwt.InvalidIssuedAtError, "the token's iat is no time"),
    (jwt.exceptions.InvalidSubjectError, "the token's sub is no text"),
    (jwt.exceptions.InvalidJTIError, "the token's jti is no text"),
    (jwt.InvalidKeyError, "the token's algorithm does not fit the key"),
    (jwt.PyJWTError, "the token is malformed"),
)


class BearerTokens:
    """Verifies tokens with the keys of a source, which it enters and leaves: a `JwksClient` or `FileKeys`.

    `clock` tells seconds since 1970, for what is remembered.
    """

    def __init__(
        self, options: BearerOptions, keys: KeySource, *, clock: Callable[[], float] = time.time
    ) -> None:
        if isinstance(keys, JwksUrl | Issuer):
            raise TypeError(f"keys is what fetches them: give JwksClient({keys!r})")
        self._options = options
        self._keys = keys
        self._clock = clock
        self._granted = GrantedTokens()
        self._decoder = _decoder()

    async def __aenter__(self) -> Self:
        """Open the keys."""
        await self._keys.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the keys, and forget what was granted by them."""
        self._granted = GrantedTokens()
        await self._keys.__aexit__(*exc_info)

    async def verify(self, request: AccessRequest) -> Verdict:
        """Grant what the request's token stands for, or refuse."""
        options = self._options
        match shown_tokens(request, options):
            case []:
                return Refusal(reason="no token", challenge=_challenge(options.realm), absent=True)
            case [token] if token:
                return await self._verdict(token)
            case [_]:
                return _refusal(options.realm, "invalid_request", "an empty token", 400)
            case _:
                return _refusal(options.realm, "invalid_request", "more than one token", 400)

    async def _verdict(self, token: str) -> Verdict:
        if len(token) > MAX_TOKEN_CHARS:
            reason = f"the token has {len(token)} characters, and {MAX_TOKEN_CHARS} are allowed"
            return _refusal(self._options.realm, "invalid_token", reason, 401)
        if not token.isascii():
            return _refusal(self._options.realm, "invalid_token", "the token is malformed", 401)
        digest = hashlib.sha256(token.encode()).digest()
        known = self._keys.known
        granted = None if known is None else self._granted.get(digest, known.generation, self._clock())
        return granted or await self._checked(token, digest)

    async def _checked(self, token: str, digest: bytes) -> Verdict:
        """The verdict on a token that is not remembered."""
        realm = self._options.realm
        try:
            header = read_header(token, self._options.algorithms)
            keys = await self._keys.keys(header.kid)
            if keys is None:
                return Refusal(reason="no keys of the issuer are at hand", status=503)
            claims = self._decoded(token, header.algorithm, keys.fitting(header.algorithm, header.kid))
        except _BadToken as exc:
            return _refusal(realm, "invalid_token", str(exc), 401)
        for name, text in self._options.required_claims.items():
            if not holds(name, claims.get(name), text):
                return _refusal(realm, "insufficient_scope", f"the token's {name!r} lacks {text!r}", 403)
        grant = grant_for(claims)
        self._granted.put(digest, Granted(grant, keys.generation, self._until(claims)))
        return grant

    def _decoded(self, token: str, algorithm: str, keys: Iterable[VerificationKey]) -> Mapping[str, object]:
        """The claims of a token that one of `keys` signed. Raises `_BadToken`."""
        reason = "no key of that name fits the token's algorithm"
        for key in keys:
            try:
                claims: Mapping[str, object] = self._decoder.decode(
                    token,
                    key.public,
                    algorithms=[algorithm],
                    issuer=self._options.issuer,
                    audience=self._options.audience,
                    leeway=self._options.leeway_seconds,
                )
            except jwt.InvalidSignatureError as exc:
                reason = reason_for(exc)
            except _UNREADABLE as exc:
                raise _BadToken(reason_for(exc)) from exc
            else:
                return _well_formed(claims)
        raise _BadToken(reason)

    def _until(self, claims: Mapping[str, object]) -> float:
        latest, expiry = self._clock() + GRANT_SECONDS, claims["exp"]
        # Never added to: an integer of a token may be larger than any float.
        return float(expiry) if isinstance(expiry, int | float) and expiry < latest else latest


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant, the generation of the keys that it rests on, and the moment at which it ends."""

    grant: Grant
    generation: int
    until: float


class GrantedTokens:
    """The last `MAX_GRANTS` tokens that were granted, by the digests of them."""

    def __init__(self) -> None:
        self._granted: OrderedDict[bytes, Granted] = OrderedDict()

    def get(self, digest: bytes, generation: int, now: float) -> Grant | None:
        """The grant of a token, if it still holds."""
        granted = self._granted.get(digest)
        if granted is None:
            return None
        if granted.generation != generation or granted.until <= now:
            del self._granted[digest]
            return None
        self._granted.move_to_end(digest)
        return granted.grant

    def put(self, digest: bytes, granted: Granted) -> None:
        """Remember a grant; of too many, the one that was not asked for longest is forgotten."""
        self._granted[digest] = granted
        self._granted.move_to_end(digest)
        if len(self._granted) > MAX_GRANTS:
            self._granted.popitem(last=False)


class _BadToken(Exception):
    """A token that is refused; the message is the reason for the log."""


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """All that is read of a token's header: how it says that it was signed, and with which key."""

    algorithm: str
    kid: str | None


def read_header(token: str, algorithms: tuple[str, ...]) -> TokenHeader:
    """The header of a token that is signed with one of `algorithms`. Raises `_BadToken`."""
    head = token.partition(".")[0]
    try:
        # The header alone: the rest is not decoded before there is a key to check it with.
        header = jwt.get_unverified_header(f"{head}..")
    except _UNREADABLE as exc:
        raise _BadToken(reason_for(exc)) from exc
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise _BadToken("the token's algorithm is not allowed")
    # RFC 7515, section 4.1.11: what is critical and not understood makes a token invalid. We understand none.
    if "crit" in header:
        raise _BadToken("the token asks for extensions")
    return TokenHeader(algorithm, header.get("kid"))


def shown_tokens(request: AccessRequest, options: BearerOptions) -> list[str]:
    """The tokens in a request, wherever they may stand; what is in a token's place counts as one."""
    tokens = _authorization_tokens(request.field(b"authorization"))
    # A cookie that was emptied is one that is gone.
    if options.cookie is not None and (cookie := request.cookie(options.cookie)):
        tokens.append(cookie)
    if options.parameter is not None and options.parameter in request.query:
        pairs = (pair.partition("=") for pair in request.query.split("&"))
        tokens += [value for name, _, value in pairs if name == options.parameter]
    return tokens


def _authorization_tokens(sent: str | None) -> list[str]:
    """The tokens of the `Authorization` fields, of which several are joined by commas."""
    scheme, _, rest = (sent or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return []
    # RFC 6750, section 2.1: a token has no comma, so there is one for each field.
    return [token.strip() for token in rest.split(",")]


def grant_for(claims: Mapping[str, object]) -> Grant:
    """The grant for a token's claims: those that are text, numbers or truth values, as text."""
    subject = claims.get("sub")
    texts = ((name, claim_text(value)) for name, value in claims.items() if _encodable(name))
    return Grant(
        subject=subject if isinstance(subject, str) else None,
        claims=MappingProxyType({name: text for name, text in texts if text is not None}),
    )


def claim_text(value: object) -> str | None:
    """A claim as text: `true` and `false` as in JSON; `None` for what has parts, and for what is no text."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() if _encodable(value):
            return value
        case _:
            return None


def holds(name: str, value: object, required: str) -> bool:
    """Whether the claim `name` is what is required, or holds it."""
    if isinstance(value, list):
        return required in map(claim_text, value)
    if name in SPACED_CLAIMS and isinstance(value, str):
        return set(required.split()) <= set(value.split())
    return claim_text(value) == required


def reason_for(exc: Exception) -> str:
    """Why a token was refused, for the log."""
    return next((text for known, text in REASONS if isinstance(exc, known)), "the token is malformed")


def _well_formed(claims: Mapping[str, object]) -> Mapping[str, object]:
    """`claims`, whose times are numbers and whose subject is text. Raises `_BadToken`."""
    for name in TIMES:
        value = claims.get(name)
        # RFC 7519, section 2: a NumericDate is "a JSON numeric value". PyJWT takes "17" and true for one.
        if name in claims and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise _BadToken(f"the token's {name} is no time")
    subject = claims.get("sub")
    if isinstance(subject, str) and not _encodable(subject):
        raise _BadToken("the token's sub is no text")
    return claims


def _encodable(text: str) -> bool:
    """Whether `text` has no half of a surrogate pair, which JSON lets through and nothing can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoder() -> jwt.PyJWT:
    return jwt.PyJWT({"require": ["iss", "aud", "exp"], "enforce_minimum_key_length": True})


def _refusal(realm: str, error: str, reason: str, status: int) -> Refusal:
    return Refusal(reason=reason, status=status, challenge=_challenge(realm, error))


def _challenge(realm: str, error: str | None = None) -> str:
    """RFC 6750, section 3. A request without a token "SHOULD NOT" be told of an error."""
    return f'Bearer realm="{realm}"' + (f', error="{error}"' if error else "")
