"""Hashes of passwords: argon2id (RFC 9106), which costs whoever guesses as much time and memory as us.

Checks run in threads of their own, few at once: a flood of guesses takes two cores and the memory of two
checks, not the event loop, and the guesses of one client leave turns to the others.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Self

from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from sluicegate.access.crowd import Crowd
from sluicegate.access.errors import BadCredentials

PASSES: Final = 3
MEMORY_KIB: Final = 64 * 1024
LANES: Final = 1
"""RFC 9106, section 4 for where memory is scarce, but for one lane: a check then takes one core, not four."""

SALT_BYTES: Final = 16
TAG_BYTES: Final = 32

MAX_PASSWORD: Final = 1024
"""The longest password in bytes of UTF-8."""

MAX_MEMORY_KIB: Final = 1024 * 1024
"""What one check may take: 1 GiB."""

MAX_WORK_KIB: Final = 4 * MAX_MEMORY_KIB
"""Memory times passes of a check: a few seconds of a core at most."""

MAX_LANES: Final = 16
"""A check starts as many threads."""

CHECKS_AT_ONCE: Final = 2
MAX_WAITING: Final = 32
"""Checks that wait behind those that run: at 0.1 s each, one that waits is begun within two seconds."""

MAX_WAITING_OF_CLIENT: Final = 4
"""How many of them may be of one client, which shall not take all turns. A browser shows one pair."""

_UNSENDABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER = r"([1-9][0-9]{0,9})"
_BASE64 = r"([A-Za-z0-9+/]{11,128})"
_PHC: Final = re.compile(rf"\$argon2id\$v=19\$m={_NUMBER},t={_NUMBER},p={_NUMBER}\${_BASE64}\${_BASE64}")


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """An argon2id hash in PHC text form: `$argon2id$v=19$m=65536,t=3,p=1$salt$tag`."""

    memory_kib: int
    passes: int
    lanes: int
    salt: bytes
    tag: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """The hash in a text; `BadCredentials` (not shown in it) if it is none, or costs too much."""
        match = _PHC.fullmatch(text)
        if match is None:
            raise BadCredentials("is no argon2id hash of the form $argon2id$v=19$m=65536,t=3,p=1$salt$tag")
        memory_kib, passes, lanes = (int(number) for number in match.groups()[:3])
        _check_cost(memory_kib, passes, lanes)
        return cls(memory_kib, passes, lanes, _decoded(match[4]), _decoded(match[5]))

    @property
    def work(self) -> int:
        """What a check costs, to be compared with others."""
        return self.memory_kib * self.passes

    def decoy(self) -> Self:
        """A hash that no password has, and that costs the same."""
        salt, tag = secrets.token_bytes(len(self.salt)), secrets.token_bytes(len(self.tag))
        return type(self)(self.memory_kib, self.passes, self.lanes, salt, tag)

    def __str__(self) -> str:
        cost = f"m={self.memory_kib},t={self.passes},p={self.lanes}"
        return f"$argon2id$v=19${cost}${_encoded(self.salt)}${_encoded(self.tag)}"

    def __repr__(self) -> str:
        return f"<PasswordHash m={self.memory_kib} t={self.passes} p={self.lanes}>"


def hash_password(password: str) -> str:
    """The hash of a password, with a salt of its own. It takes 64 MiB, and a tenth of a second or so.

    Raises `BadCredentials` for what cannot be sent as a password: nothing, more than 1024 bytes in UTF-8,
    control characters.
    """
    secret = b"" if _UNSENDABLE.search(password) else as_sent(password)
    if not 0 < len(secret) <= MAX_PASSWORD:
        raise BadCredentials(f"a password has 1 to {MAX_PASSWORD} bytes and no control character")
    salt = secrets.token_bytes(SALT_BYTES)
    return hash_secret(secret, salt, PASSES, MEMORY_KIB, LANES, TAG_BYTES, Type.ID).decode()


def as_sent(password: str) -> bytes:
    """A password as bytes: RFC 7617, section 2.1 means UTF-8 of Unicode's normalization form C."""
    return unicodedata.normalize("NFC", password).encode()


class TooManyChecks(Exception):
    """As many checks wait as may."""


class CheckFailed(Exception):
    """A check could not be made: there was no memory, or the checks were closed."""


class PasswordChecks:
    """Checks of passwords against hashes: `CHECKS_AT_ONCE` run, and `MAX_WAITING` wait, few of one client."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._waiting = 0
        self._of_clients = Crowd(MAX_WAITING_OF_CLIENT)
        self._threads: ThreadPoolExecutor | None = ThreadPoolExecutor(CHECKS_AT_ONCE, "sluicegate-passwords")

    async def matches(self, stored: PasswordHash, password: str, client: str | None = None) -> bool:
        """Whether the hash is of this password. `client` is what who asks is counted by, if that is known.

        Raises `TooManyChecks` and `CheckFailed`. One who is cancelled gives up waiting; a check that has
        begun runs to its end in its thread, and keeps its turn until then.
        """
        await self._turn(client)
        try:
            checking = self._begin(stored, password)
        except BaseException:
            self._turns.release()
            raise
        checking.add_done_callback(self._checked)
        return await asyncio.shield(checking)

    async def aclose(self) -> None:
        """Begin no more checks, and wait for those that run."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)
            await asyncio.to_thread(threads.shutdown)

    async def _turn(self, client: str | None) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        with self._place(client):
            await self._turns.acquire()

    @contextmanager
    def _place(self, client: str | None) -> Iterator[None]:
        """A place among those that wait."""
        if self._waiting >= MAX_WAITING:
            raise TooManyChecks(f"{MAX_WAITING} checks of passwords wait already")
        # Of those that cannot be told apart, none could be kept from taking the turns of another.
        with nullcontext(True) if client is None else self._of_clients.place(client) as has_room:
            if not has_room:
                raise TooManyChecks(f"{MAX_WAITING_OF_CLIENT} checks of passwords of one client wait already")
            self._waiting += 1
            try:
                yield
            finally:
                self._waiting -= 1

    def _begin(self, stored: PasswordHash, password: str) -> asyncio.Future[bool]:
        if self._threads is None:
            raise CheckFailed("the checks of passwords were closed")
        loop = asyncio.get_running_loop()
        try:
            return loop.run_in_executor(self._threads, _matches, str(stored), as_sent(password))
        except RuntimeError as exc:
            raise CheckFailed(f"no thread for a check of a password: {exc}") from exc

    def _checked(self, checking: asyncio.Future[bool]) -> None:
        self._turns.release()
        # Where nobody waits any more, nobody else would ask for it.
        checking.exception()


def costliest(hashes: Iterable[PasswordHash]) -> PasswordHash | None:
    """The hash whose check costs most; `None` of none."""
    return max(hashes, key=lambda stored: stored.work, default=None)


def _matches(stored: str, secret: bytes) -> bool:
    try:
        return verify_secret(stored.encode(), secret, Type.ID)
    except VerifyMismatchError:
        return False
    except VerificationError as exc:
        raise CheckFailed(f"argon2 could not check a password: {exc}") from exc


def _check_cost(memory_kib: int, passes: int, lanes: int) -> None:
    if memory_kib > MAX_MEMORY_KIB:
        raise BadCredentials(f"asks for m={memory_kib} KiB of memory, at most {MAX_MEMORY_KIB} are allowed")
    if memory_kib * passes > MAX_WORK_KIB:
        most = MAX_WORK_KIB // memory_kib
        raise BadCredentials(
            f"asks for t={passes} passes over m={memory_kib} KiB, at most {most} are allowed"
        )
    # RFC 9106, section 3.1: memory is at least 8 KiB a lane.
    if lanes > MAX_LANES or memory_kib < 8 * lanes:
        raise BadCredentials(
            f"asks for p={lanes} lanes, at most {min(MAX_LANES, memory_kib // 8)} are allowed"
        )


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as exc:
        raise BadCredentials("has a salt or a tag that is not base64") from exc
    # Bits beyond the last byte are refused by argon2, at the time of the check.
    if _encoded(data) != text:
        raise BadCredentials("has a salt or a tag that is not base64")
    return data


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
