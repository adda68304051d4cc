"""API keys: long random texts, of which only digests are stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from sluicegate.access.base import AccessRequest, Grant, Refusal, Stateless, Verdict, is_parameter_name
from sluicegate.access.challenges import challenge
from sluicegate.access.errors import BadCredentials, check_mapping
from sluicegate.errors import BadFieldValue
from sluicegate.http.fields import check_name

PREFIX: Final = "sg_"
"""What every key that is made here begins with, so that scanners for leaked secrets can find it."""

KEY_BYTES: Final = 32
"""256 random bits: nobody guesses them, so a fast digest without salt hides a key as well as a slow one."""

MAX_KEY: Final = 512
"""The longest key in bytes, for those who bring keys from elsewhere."""

_STORED: Final = re.compile(r"sha256:([0-9A-Fa-f]{64})")


def new_key() -> str:
    """A new key: 256 random bits in URL-safe characters."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_key(key: str) -> str:
    """What is stored of a key: `sha256:` and 64 hexadecimal digits.

    Raises `BadCredentials` for what cannot be sent as a key: nothing, more than 512 bytes in UTF-8, blanks
    at an end, control characters.
    """
    if not key.isprintable() or key != key.strip() or not 0 < len(key.encode()) <= MAX_KEY:
        raise BadCredentials(
            f"a key has 1 to {MAX_KEY} bytes, all of them printable, and no blank at its beginning or end"
        )
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


class ApiKeys(Stateless):
    """Whoever shows a key is its holder.

    - `keys`: what `hash_key` made, by the holder's name: several for a holder whose key is being replaced.
    - `realm`: what the keys open, for the challenge.
    - `header`: the field that the key is in.
    - `parameter`: the query parameter that the key may be in as well, percent-encoded; `None` for no such.

    A key in both places must be the same. Raises `BadCredentials` for what is not such a table; of a value
    it tells whose it is, and does not show it.
    """

    def __init__(
        self,
        keys: Mapping[str, Sequence[str]],
        realm: str,
        *,
        header: str = "x-api-key",
        parameter: str | None = None,
    ) -> None:
        check_mapping("keys", keys, "{'acme': [hash_key(key)]}")
        self._challenge = challenge("ApiKey", realm)
        self._header = _checked_header(header)
        self._parameter = _checked_parameter(parameter)
        self._grants = _grants(keys)

    async def verify(self, request: AccessRequest) -> Verdict:
        """Grant access to the holder of the key that the request shows."""
        shown = set(self._shown(request))
        if not shown:
            return self._refusal("no API key", absent=True)
        if len(shown) > 1:
            return self._refusal("two API keys that differ")
        return self._holder_of(shown.pop()) or self._refusal("an API key that nobody holds")

    def _shown(self, request: AccessRequest) -> Iterator[bytes]:
        field = request.field(self._header)
        if field is not None:
            yield _sent(field)
        if self._parameter is not None:
            value = request.parameter(self._parameter)
            if value is not None:
                # What is too long in any case is not decoded first.
                yield unquote_to_bytes(_sent(value[: 3 * MAX_KEY + 1]))

    def _holder_of(self, key: bytes) -> Grant | None:
        if not 0 < len(key) <= MAX_KEY:
            return None
        digest = hashlib.sha256(key).digest()
        # Time tells at most something of digests here, which nobody can choose.
        stored, grant = self._grants.get(digest, (b"", None))
        return grant if hmac.compare_digest(stored, digest) else None

    def _refusal(self, reason: str, *, absent: bool = False) -> Refusal:
        return Refusal(reason=reason, challenge=self._challenge, absent=absent)


def _sent(text: str) -> bytes:
    # Fields and queries are the bytes that were sent, as Latin-1. Other text was not sent, and is no key.
    return text.encode("latin-1", "replace")


def _checked_header(header: str) -> bytes:
    try:
        return check_name(header).encode()
    except BadFieldValue as exc:
        raise BadCredentials(f"header {header!r} is no name of a field") from exc


def _checked_parameter(parameter: str | None) -> str | None:
    if parameter is not None and not is_parameter_name(parameter):
        raise BadCredentials(f"parameter {parameter!r} must be of letters, digits and . _ ~ - alone")
    return parameter


def _grants(keys: Mapping[str, Sequence[str]]) -> dict[bytes, tuple[bytes, Grant]]:
    grants: dict[bytes, tuple[bytes, Grant]] = {}
    for holder, stored in keys.items():
        grant = Grant(subject=_checked_holder(holder), claims=MappingProxyType({"sub": holder}))
        for digest in _digests(holder, stored):
            other = grants.setdefault(digest, (digest, grant))[1].subject
            if other != holder:
                raise BadCredentials(f"{other!r} and {holder!r} have the same key: it must tell who it is")
    return grants


def _checked_holder(holder: str) -> str:
    if not holder or not holder.isprintable():
        raise BadCredentials(f"the holder {holder!r} of a key needs a name of printable characters")
    return holder


def _digests(holder: str, stored: Sequence[str]) -> Iterator[bytes]:
    if isinstance(stored, str):
        raise BadCredentials(f"the keys of {holder!r} must be a list, also where it is one key")
    for number, value in enumerate(stored, 1):
        match = _STORED.fullmatch(value)
        if match is None:
            raise BadCredentials(
                f"key {number} of {holder!r} must be stored as 'sha256:' and 64 hexadecimal digits"
            )
        yield bytes.fromhex(match[1])
