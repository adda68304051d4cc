"""Reading a configuration again while it is served: what asks for it, what it takes, and what came of it."""

from __future__ import annotations

import asyncio
import logging
import os.path
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from sluicegate.errors import SluicegateError

from .config import AdminConfig, Config, ConfigError, Mistake, load_config
from .config.environment import is_unset
from .signals import HangUps
from .systemd import Notifier

logger = logging.getLogger(__name__)

PREPARE_SECONDS: Final = 30.0
"""Beyond what stores and upstreams take to be opened: nothing is asked of them before there are requests."""

NOTHING_CHANGED: Final = "nothing has changed"


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """Whether a new configuration is in place, and what there is to say about it, in one line or more."""

    ok: bool
    message: str

    @property
    def summary(self) -> str:
        """What it comes to in one line."""
        first = self.message.partition("\n")[0]
        return first if self.ok else f"not reloaded: {first}"


Reload = Callable[[], Awaitable[ReloadResult]]
"""Reads the file again and puts it in place in all workers. It does not raise for what cannot be used."""


class Reloadable(Protocol):
    """What serves a configuration and can change to another one, in two steps."""

    async def prepare(self, config: Config) -> None:
        """Open what it needs; MUST raise `SluicegateError` if that cannot be, and change nothing then."""

    def commit(self) -> None:
        """Serve new requests by what was prepared. MUST NOT fail."""

    def abandon(self) -> None:
        """Give up what was prepared, if anything was."""

    def count_reload(self, *, ok: bool) -> None:
        """Count a configuration that was read again; `ok` if it was put in place."""


class Control(Protocol):
    """How an operator reaches a process that serves, and how it says what it does."""

    @property
    def file(self) -> Path | None:
        """The file that is read again."""

    def attached(self) -> AbstractAsyncContextManager[None]:
        """Heed what asks for a reload until the block ends."""

    def started(self) -> None:
        """Requests are served from now on."""

    def stopping(self) -> None:
        """No reload will be begun any more."""

    async def reload(self) -> ReloadResult:
        """Read the file again and put it in place."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The file that is served, and the environment that answers its `${NAME}`."""

    path: Path
    environ: Mapping[str, str]

    def read(self) -> Config:
        """The configuration; raises `ConfigError` with every mistake."""
        return load_config(self.path, self.environ)

    def read_again(self) -> Config:
        """The configuration as it is now. A pipe or a terminal is not waited for: it may never come again."""
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            found = Mistake(None, "", "what can be read only once", "a regular file, to be read again")
            raise ConfigError(str(self.path), [found])
        try:
            return self.read()
        except ConfigError as exc:
            raise ConfigError(exc.name, map(_told_of_restart, exc.mistakes)) from exc


def _told_of_restart(mistake: Mistake) -> Mistake:
    """Whoever reloads has set the variable, maybe; only not here."""
    if not is_unset(mistake):
        return mistake
    told = "; the gateway's environment is that of its start, so a new variable needs a restart"
    return replace(mistake, allowed=f"{mistake.allowed}{told}")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a gateway is run with beside its configuration: its file, its hang-ups, and who is told.

    `prepare_seconds` is how long a new configuration may take to be opened, in all workers. `admin` is how it
    was looked after from the start.
    """

    file: ConfigFile
    hang_ups: HangUps
    notifier: Notifier
    prepare_seconds: float = PREPARE_SECONDS
    admin: AdminConfig | None = None

    def accepted(self, config: Config) -> ReloadResult:
        """What to say when `config` is in place, and what of it is not before a restart."""
        counts = f"stores: {len(config.stores)}, routes: {len(config.routes)}"
        waiting = _waiting(self.admin or config.admin, config.admin)
        waits = f"; after a restart: {', '.join(waiting)}" if waiting else ""
        return ReloadResult(True, f"{self.file.path}: reloaded; {counts}{waits}")


def _waiting(started: AdminConfig, wanted: AdminConfig) -> list[str]:
    """The settings that have changed and are in use only after a restart."""
    names = ("address", "allowed_hosts")
    return [f"[admin] {name}" for name in names if getattr(started, name) != getattr(wanted, name)]


def refused(reason: str) -> ReloadResult:
    """The result of a reload that did not happen."""
    return ReloadResult(False, f"{reason}\n{NOTHING_CHANGED}")


def log_result(result: ReloadResult) -> None:
    """Write every line of a result to the log."""
    for line in result.message.splitlines():
        logger.log(logging.INFO if result.ok else logging.ERROR, "%s", line)


class FileControl:
    """The control of a gateway in one process: SIGHUP, and `reload`, one at a time."""

    def __init__(self, server: Reloadable, operation: Operation) -> None:
        self._server = server
        self.file = operation.file.path
        self._operation = operation
        self._hang_ups = operation.hang_ups
        self._notifier = operation.notifier
        self._prepare_seconds = operation.prepare_seconds
        self._one = asyncio.Lock()
        self._stopping = False

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[None]:
        """Heed SIGHUP until the block ends."""
        came = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(came.set)

        with self._hang_ups.told(tell):
            heeding = asyncio.create_task(self._heed(came))
            try:
                yield
            finally:
                heeding.cancel()
                await asyncio.wait((heeding,))

    async def _heed(self, came: asyncio.Event) -> None:
        while True:
            await came.wait()
            # Those that come while the file is read are one more reload, however many there are.
            came.clear()
            if self._hang_ups.taken():
                await self.reload()

    def started(self) -> None:
        """Say so to systemd."""
        self._notifier.ready("serving")

    def stopping(self) -> None:
        """Say so to systemd."""
        self._stopping = True
        self._notifier.stopping()

    async def reload(self) -> ReloadResult:
        """Read the file again and put it in place."""
        async with self._one:
            if self._stopping:
                return refused("the gateway is ending")
            self._notifier.reloading()
            result = refused("the reload was interrupted")
            try:
                result = await self._attempt()
            finally:
                log_result(result)
                self._server.count_reload(ok=result.ok)
                if not self._stopping:
                    self._notifier.ready(result.summary)
            return result

    async def _attempt(self) -> ReloadResult:
        try:
            config = await asyncio.to_thread(self._operation.file.read_again)
            async with asyncio.timeout(self._prepare_seconds):
                await self._server.prepare(config)
            self._server.commit()
        except TimeoutError:
            return refused(f"{self.file}: what it names was not open after {self._prepare_seconds} s")
        except SluicegateError as exc:
            return refused(str(exc))
        except Exception:
            logger.exception("the reload failed")
            return refused("the reload failed, and the log says how")
        return self._operation.accepted(config)
