"""The public keys that tokens are signed with: read from a file, or fetched from who signs, and rotated.

A key is taken from the place that the operator named and from nowhere else: nothing in a token may add one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

import aiohttp

from sluicegate.access.keys import BadKeys, KeySet, VerificationKey, parse_key_set, parse_object, parse_pem

REFRESH_SECONDS: Final = 3600.0
"""How old keys may be before they are fetched again: a key that was withdrawn is obeyed no longer."""

COOLDOWN_SECONDS: Final = 30.0
"""The shortest time between two fetches for keys that nobody knows: their names are the client's."""

RETRY_SECONDS: Final = 5.0
"""The shortest time between a fetch that failed and the next."""

STALE_SECONDS: Final = 24 * 3600.0
"""How long keys are used while no newer ones can be had: a provider's bad day, and no longer."""

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 5.0
MIN_READ_SECONDS: Final = 0.01
"""Less is no time at all: nothing could ever be read."""

FETCH_SECONDS: Final = 10.0
"""The longest that one document may take, however slowly it drips."""

MAX_ANSWER_BYTES: Final = 1024 * 1024
logger = logging.getLogger("sluicegate")


class KeySource(Protocol):
    """Where keys come from.

    - `keys` MUST NOT raise because keys cannot be had, and MUST NOT wait without a limit.
    - It MUST be entered before it is asked, and left by the task that entered it.
    """

    @property
    def known(self) -> KeySet | None:
        """The keys that are at hand and not too old; `None` if there are none."""
        ...

    async def keys(self, kid: str | None) -> KeySet | None:
        """The keys of now, looked for again if they are old or none is called `kid`; `None` without any."""
        ...

    async def __aenter__(self) -> Self:
        """Open what it needs."""
        ...

    async def __aexit__(self, *exc_info: object) -> None:
        """Close it."""
        ...


@dataclass(frozen=True, slots=True)
class JwksUrl:
    """The address of a key set (RFC 7517). Raises `BadKeys` for what is no http:// or https:// address."""

    url: str

    def __post_init__(self) -> None:
        _check_address(self.url, "jwks_url", ("https", "http"))


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OpenID provider, whose discovery document names its key set. Raises `BadKeys` as `JwksUrl` does."""

    url: str

    def __post_init__(self) -> None:
        _check_address(self.url, "issuer", ("https", "http"))
        # OpenID Connect Discovery 1.0, section 2: scheme, host, and optionally port and path, and no more.
        if "?" in self.url or "#" in self.url:
            raise BadKeys(f"issuer {self.url!r} must have no query and no fragment")

    @property
    def document(self) -> str:
        """The address of the discovery document (OpenID Connect Discovery 1.0, section 4.1)."""
        return self.url.removesuffix("/") + "/.well-known/openid-configuration"


class FileKeys:
    """Keys in a local file: a key set (JSON), or one public key (PEM). Read once, when entered."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._set: KeySet | None = None

    @property
    def known(self) -> KeySet | None:
        """The keys of the file."""
        return self._set

    async def keys(self, kid: str | None) -> KeySet | None:
        """The keys of the file, whatever name is looked for."""
        return self._set

    async def __aenter__(self) -> Self:
        """Read the file. Raises `BadKeys` if it cannot be read, or holds no key that can be used."""
        self._set = KeySet(await asyncio.to_thread(_read_keys, self._path))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Forget the keys."""
        self._set = None


class JwksClient:
    """Keys that are fetched when they are first asked for, and again when they are due or one is missing.

    However many wait for a fetch, there is one. While fetches fail, the keys of the last good one are used
    for `STALE_SECONDS`, and only who needs others waits for the next. `clock` never goes back.

    - `refresh_seconds`: how old keys may be before they are fetched again.
    - `read_seconds`: how long the provider may send nothing.
    - `tls`: what to trust it by; the system's authorities, if it is not given.

    Raises `BadKeys` for an option that is out of bounds.
    """

    def __init__(
        self,
        place: JwksUrl | Issuer,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        read_seconds: float = READ_SECONDS,
        tls: ssl.SSLContext | bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_seconds("refresh_seconds", refresh_seconds, COOLDOWN_SECONDS, STALE_SECONDS)
        _check_seconds("read_seconds", read_seconds, MIN_READ_SECONDS, FETCH_SECONDS)
        self._place = place
        self._refresh_seconds = refresh_seconds
        self._read_seconds = read_seconds
        self._tls = tls
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._set: KeySet | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._fetched_at = self._missed_at = self._failed_at = -math.inf

    @property
    def known(self) -> KeySet | None:
        """The keys of the last fetch that succeeded, unless that is too long ago."""
        return self._set if self._age() <= STALE_SECONDS else None

    async def keys(self, kid: str | None) -> KeySet | None:
        """The keys of now; waits for a fetch only if that can change the answer."""
        known = self.known
        due = known is None or self._age() > self._refresh_seconds
        missed = known is not None and not known.knows(kid)
        if self._fetch is None and (self._may_seek(missed) or self._may_refresh(due)):
            self._fetch = asyncio.create_task(self._refresh(self._opened()))
        if self._fetch is not None and (known is None or missed or (due and not self._failing())):
            # Not awaited itself: who is cancelled here must not cancel it for the others.
            await asyncio.wait({self._fetch})
        return self.known

    async def __aenter__(self) -> Self:
        """Make the client session. Nothing is fetched yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(
                total=FETCH_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=self._read_seconds
            ),
            # A small answer must not unfold into a large one.
            auto_decompress=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """End the fetch that is under way, and close the session."""
        session, self._session, self._set = self._session, None, None
        fetch, self._fetch = self._fetch, None
        try:
            if fetch is not None:
                fetch.cancel()
                await asyncio.wait({fetch})
        finally:
            if session is not None:
                await session.close()

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _failing(self) -> bool:
        return self._failed_at > self._fetched_at

    def _may_refresh(self, due: bool) -> bool:
        return due and self._clock() - self._failed_at >= RETRY_SECONDS

    def _may_seek(self, missed: bool) -> bool:
        """Whether a name that no key has may cost a fetch; if so, the next one has to wait."""
        now = self._clock()
        if not missed or now - self._missed_at < COOLDOWN_SECONDS:
            return False
        self._missed_at = now
        return True

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError(f"the keys of {_shown(self._place.url)} are not open: enter them first")
        return self._session

    async def _refresh(self, session: aiohttp.ClientSession) -> None:
        try:
            address = await _key_set_address(session, self._place)
            self._take(parse_key_set(await _get(session, address)))
        except BadKeys as exc:
            self._failed_at = self._clock()
            logger.warning("the keys of %s could not be fetched: %s", _shown(self._place.url), exc)
        finally:
            self._fetch = None

    def _take(self, keys: tuple[VerificationKey, ...]) -> None:
        """Use `keys` from now on. What the provider withdrew is gone, even if nothing is left."""
        last = self._set or KeySet(())
        if not keys:
            logger.warning("the key set of %s has no key that can be used", _shown(self._place.url))
        if self._set is None or keys != last.keys:
            self._set = KeySet(keys, last.generation + 1)
        self._fetched_at = self._clock()


def read_discovery(content: bytes, issuer: str) -> str:
    """The address of the key set in the discovery document of `issuer`. Raises `BadKeys` for anything odd."""
    document = parse_object(content, "the discovery document")
    # OpenID Connect Discovery 1.0, section 4.3: the issuer in it "MUST be identical" to the one asked.
    if document.get("issuer") != issuer:
        raise BadKeys("the discovery document is of another issuer")
    address = document.get("jwks_uri")
    if not isinstance(address, str):
        raise BadKeys("the discovery document has no jwks_uri")
    _check_address(address, "jwks_uri", ("https", "http") if issuer.startswith("http:") else ("https",))
    return address


def _read_keys(path: Path) -> tuple[VerificationKey, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ANSWER_BYTES + 1)
    except OSError as exc:
        raise BadKeys(f"cannot read keys from {str(path)!r}: {exc.strerror or type(exc).__name__}") from exc
    if len(content) > MAX_ANSWER_BYTES:
        raise BadKeys(f"{str(path)!r} is larger than {MAX_ANSWER_BYTES} bytes, which no file of keys is")
    try:
        keys = (parse_pem(content),) if b"-----BEGIN " in content else parse_key_set(content)
    except BadKeys as exc:
        raise BadKeys(f"{str(path)!r}: {exc}") from exc
    if not keys:
        raise BadKeys(f"{str(path)!r} has no public key that can check signatures")
    return keys


async def _key_set_address(session: aiohttp.ClientSession, place: JwksUrl | Issuer) -> str:
    match place:
        case JwksUrl(url):
            return url
        case Issuer(url):
            return read_discovery(await _get(session, place.document), url)


def _check_seconds(name: str, seconds: float, least: float, most: float) -> None:
    if not least <= seconds <= most:
        raise BadKeys(f"{name}: {seconds!r} is not from {least:g} to {most:g}")


def _check_address(url: str, name: str, schemes: tuple[str, ...]) -> None:
    allowed = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError as exc:
        raise BadKeys(f"{name} is no address: {allowed} is allowed") from exc
    if not usable or "@" in parts.netloc:
        raise BadKeys(f"{name} must be an {allowed} address without a user")


async def _get(session: aiohttp.ClientSession, url: str) -> bytes:
    """What is at `url`. Raises `BadKeys` if it cannot be had, is too large, or is somewhere else."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise BadKeys(f"{_shown(url)} answered {response.status}, and only 200 is allowed")
            return await _whole(response, url)
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        if isinstance(exc, BadKeys):
            raise
        raise BadKeys(f"{_shown(url)} could not be read: {type(exc).__name__}") from exc


async def _whole(response: aiohttp.ClientResponse, url: str) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise BadKeys(f"{_shown(url)} answered more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _shown(url: str) -> str:
    """An address for messages, without its query, which may be secret."""
    return url.partition("?")[0]
