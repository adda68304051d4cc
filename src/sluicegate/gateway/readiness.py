"""Whether the gateway can do its work: each store and upstream answers, and accepts its credentials.

What is found is for operators. It holds no secret, but it names stores and hosts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluicegate import Found, OpenRequest, Source, SourceError
from sluicegate.errors import Denied, NotFound
from sluicegate.http.ranges import FromTo
from sluicegate.observe import bounded

from .origin_codes import NO_PLACE, status_and_code

logger = logging.getLogger(__name__)

CACHE_SECONDS: Final = 10.0
"""How long an answer counts: balancers that ask all the time cost an origin one request in this time."""

LIMIT_SECONDS: Final = 5.0
"""How long an origin may take to answer: half of what balancers commonly wait."""

_NOBODYS: Final = "sluicegate-readiness-"
"""How a key begins that no object has; what follows is random."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask: a source by the name that operators know, and a key that it must have, if there is one."""

    name: str
    source: Source
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What came of asking one source. It took `seconds`, and that was `age_seconds` ago."""

    name: str
    ok: bool
    message: str
    seconds: float
    age_seconds: float


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Whether all sources can be read from, and what came of asking each."""

    ready: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found, and when by the time of the event loop."""

    name: str
    ok: bool
    message: str
    began: float
    ended: float

    def at(self, now: float) -> Check:
        return Check(self.name, self.ok, self.message, self.ended - self.began, now - self.ended)


class Readiness:
    """Asks each source for the metadata of an object, all at once, and remembers what came of it for a while.

    Those who ask at the same time share one asking.
    """

    def __init__(
        self,
        probes: Iterable[Probe],
        *,
        cache_seconds: float = CACHE_SECONDS,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._probes = tuple(probes)
        self._cache_seconds = cache_seconds
        self._limit_seconds = limit_seconds
        # Whoever has it asks for all who wait for it; if it is cancelled, the next one asks.
        self._asking = asyncio.Lock()
        self._found: tuple[_Found, ...] = ()
        self._fresh_until: float | None = None

    async def report(self) -> ReadinessReport:
        """What is known, or else found out now."""
        time = asyncio.get_running_loop().time
        async with self._asking:
            if self._fresh_until is None or time() >= self._fresh_until:
                self._found = await self._ask_all()
                self._fresh_until = time() + self._cache_seconds
        now = time()
        checks = tuple(found.at(now) for found in self._found)
        return ReadinessReport(all(check.ok for check in checks), checks)

    async def _ask_all(self) -> tuple[_Found, ...]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(probe)) for probe in self._probes]
        return tuple(task.result() for task in tasks)

    async def _ask(self, probe: Probe) -> _Found:
        time = asyncio.get_running_loop().time
        began = time()
        try:
            async with asyncio.timeout(self._limit_seconds):
                ok, message = await _answer(probe)
        except TimeoutError:
            ok, message = False, f"no answer within {self._limit_seconds:g} s"
        except Exception as bug:
            logger.exception("asking %s whether it is ready failed", probe.name)
            ok, message = False, f"{type(bug).__name__}: see the log"
        return _Found(probe.name, ok, message, began, time())


async def _answer(probe: Probe) -> tuple[bool, str]:
    """Whether the source answers as it should, and what to tell of it."""
    key = probe.key or _NOBODYS + secrets.token_hex(8)
    try:
        outcome = await probe.source.open(key, OpenRequest(head=True))
    except NotFound as exc:
        return await _missing(probe, key, exc)
    except Denied as exc:
        return False, bounded(f"the origin refuses: {exc}{_hint(probe)}")
    except SourceError as exc:
        return False, bounded(f"{type(exc).__name__}: {exc}")
    if isinstance(outcome, Found):
        await outcome.body.aclose()
        return True, "answers"
    return False, f"answers with {type(outcome).__name__}, which nobody asked for"


async def _missing(probe: Probe, key: str, error: NotFound) -> tuple[bool, str]:
    if probe.key is not None:
        return False, bounded(f"the object {probe.key!r} that it must have is not there: {error}")
    if (told := await _told_of_place(probe.source, key)) is not None:
        return False, bounded(f"there is no such bucket or container: {told}")
    return True, "answers, and has no object of a key that nobody uses"


async def _told_of_place(source: Source, key: str) -> SourceError | None:
    """What says that the store itself is not there: an answer to HEAD has no content that could."""
    try:
        outcome = await source.open(key, OpenRequest(range=FromTo(0, 0)))
    except SourceError as exc:
        return exc if status_and_code(exc)[1] in NO_PLACE else None
    if isinstance(outcome, Found):
        await outcome.body.aclose()
    return None


def _hint(probe: Probe) -> str:
    """What else than bad credentials it may be: S3 denies keys that are not there to who may not list."""
    if probe.key is not None:
        return ""
    return "; if its credentials may read but not list, name an object that is there with `probe`"
