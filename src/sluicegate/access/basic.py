"""Basic authentication (RFC 7617) of users whose password hashes the operator has configured."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Self

from sluicegate.access.base import AccessRequest, Grant, Refusal, Verdict
from sluicegate.access.challenges import challenge
from sluicegate.access.errors import BadCredentials, check_mapping
from sluicegate.access.flights import FlightEnded, Flights
from sluicegate.access.passwords import (
    LANES,
    MAX_PASSWORD,
    MEMORY_KIB,
    PASSES,
    SALT_BYTES,
    TAG_BYTES,
    CheckFailed,
    PasswordChecks,
    PasswordHash,
    TooManyChecks,
    costliest,
    hash_password,
)
from sluicegate.access.remembered import Remembered
from sluicegate.http.addresses import client_key

__all__ = ["BasicUsers", "hash_password"]

MAX_USER: Final = 256
"""The longest user-id in bytes of UTF-8."""

REMEMBERED_SECONDS: Final = 60.0
"""How long a pair that was right is let in without another check: a video player asks many times a minute."""

REMEMBERED: Final = 1024
"""How many such pairs there are at most; the one that was shown longest ago goes first."""

_MAX_TOKEN: Final = (MAX_USER + 1 + MAX_PASSWORD + 2) // 3 * 4
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_USUAL: Final = PasswordHash(MEMORY_KIB, PASSES, LANES, bytes(SALT_BYTES), bytes(TAG_BYTES))


class BasicUsers:
    """Whoever shows the password of a user is that user.

    - `users`: what `hash_password` made, or another argon2id hash in PHC text form, by the user's name.
    - `realm`: what the passwords open, which browsers show to their users.

    A check takes a thread, 64 MiB and a tenth of a second; at most two run at once and 32 wait, four of them
    of one client (an IPv4 address, or the /64 network of an IPv6 one): further ones are refused with 503. A
    pair that was right is remembered for a minute, one that was wrong never. A user who does not exist costs
    as much as the one whose hash costs most.

    Raises `BadCredentials` for what is not such a table; it tells whose hash is wrong, and does not show it.
    `clock` tells seconds from any beginning, and never goes back.
    """

    def __init__(
        self, users: Mapping[str, str], realm: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        check_mapping("users", users, "{'anna': hash_password(password)}")
        # RFC 7617, section 2.1: the only allowed value of charset is "UTF-8".
        self._challenge = challenge("Basic", realm) + ', charset="UTF-8"'
        self._hashes = _hashes(users)
        self._decoy = (costliest(self._hashes.values()) or _USUAL).decoy()
        self._secret = secrets.token_bytes(32)
        self._remembered = Remembered[bytes, Grant](REMEMBERED, REMEMBERED_SECONDS, clock)
        self._flights = Flights[bytes, Verdict]()
        self._checks: PasswordChecks | None = None

    async def __aenter__(self) -> Self:
        """Make the threads' pool. They are started when they are needed."""
        self._checks = PasswordChecks()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Refuse those who wait, and wait for the checks that run."""
        checks, self._checks = self._checks, None
        try:
            await self._flights.aclose()
        finally:
            if checks is not None:
                await checks.aclose()

    async def verify(self, request: AccessRequest) -> Verdict:
        """Grant access to the user whose name and password the request shows."""
        token = _token(request.field(b"authorization"))
        if token is None:
            return self._refusal("no Basic credentials", absent=True)
        pair = _pair(token)
        if pair is None:
            return self._refusal("Basic credentials that are not well-formed")
        client = None if request.client is None else client_key(str(request.client))
        return await self._verify(*pair, client)

    async def _verify(self, user: str, password: str, client: str | None) -> Verdict:
        # What is remembered cannot be turned back into passwords, nor into anything that is worth as much.
        digest = hmac.digest(self._secret, f"{user}\0{password}".encode(), "sha256")
        known = self._remembered.get(digest)
        if known is not None:
            return known
        checks = self._checks
        if checks is None:
            raise RuntimeError("BasicUsers is not open: enter it in the application's lifespan")
        try:
            return await self._flights.join(
                digest, lambda: self._check(checks, user, password, client, digest)
            )
        except FlightEnded:
            return _unavailable("the verifier was closed")

    async def _check(
        self, checks: PasswordChecks, user: str, password: str, client: str | None, digest: bytes
    ) -> Verdict:
        stored = self._hashes.get(user)
        try:
            matches = await checks.matches(stored or self._decoy, password, client)
        except (TooManyChecks, CheckFailed) as exc:
            return _unavailable(str(exc))
        if stored is None or not matches:
            return self._refusal("an unknown user or a wrong password")
        grant = Grant(subject=user, claims=MappingProxyType({"sub": user}))
        self._remembered.put(digest, grant)
        return grant

    def _refusal(self, reason: str, *, absent: bool = False) -> Refusal:
        return Refusal(reason=reason, challenge=self._challenge, absent=absent)


def _unavailable(reason: str) -> Refusal:
    return Refusal(reason=reason, status=503)


def _token(sent: str | None) -> str | None:
    """What stands behind the scheme, if the scheme is Basic."""
    if sent is None:
        return None
    # RFC 9110, section 11.1: the scheme is a case-insensitive token.
    scheme, _, token = sent.strip(" \t").partition(" ")
    return token.strip(" ") if scheme.lower() == "basic" else None


def _pair(token: str) -> tuple[str, str] | None:
    """User-id and password, if they are there."""
    if len(token) > _MAX_TOKEN:
        return None
    try:
        text = base64.b64decode(token, validate=True).decode()
    except ValueError:
        return None
    # RFC 7617, section 2: "The user-id and password MUST NOT contain any control characters", and the first
    # colon ends the user-id.
    user, colon, password = text.partition(":")
    if not colon or _CONTROLS.search(text) or len(user.encode()) > MAX_USER:
        return None
    return _normal(user), password


def _normal(user: str) -> str:
    return unicodedata.normalize("NFC", user)


def _hashes(users: Mapping[str, str]) -> dict[str, PasswordHash]:
    hashes: dict[str, PasswordHash] = {}
    for user, stored in users.items():
        name = _normal(_checked_user(user))
        if name in hashes:
            raise BadCredentials(f"user {user!r} is there twice, in two ways to write the same characters")
        try:
            hashes[name] = PasswordHash.parse(stored)
        except BadCredentials as exc:
            raise BadCredentials(f"the password hash of user {user!r} {exc}") from None
    return hashes


def _checked_user(user: str) -> str:
    if not user.isprintable() or not 0 < len(user.encode()) <= MAX_USER or ":" in user:
        raise BadCredentials(
            f"user {user!r} needs a name of 1 to {MAX_USER} bytes, of printable characters but the colon"
        )
    return user
