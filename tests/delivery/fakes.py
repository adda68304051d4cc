"""Bodies, iterators and sources that do what they are told and count what is done to them."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from sluicegate import Found, OpenOutcome, OpenRequest
from sluicegate.http.metadata import Metadata
from sluicegate.http.validators import ETag
from sluicegate.sources.base import Chunk

CHUNK = bytes(64 * 1024)


class Forever:
    """A step of a script: wait, and never go on."""


FOREVER = Forever()
Step = bytes | str | bytearray | memoryview | BaseException | Forever
Script = tuple[Step, ...]


@dataclass
class Ledger:
    """What happened to one body: how far it was read, how often it was closed, and by which threads."""

    opened: int = 0
    reads: int = 0
    pulled: int = 0
    closed: int = 0
    background: int = 0
    read_in: list[int] = field(default_factory=list)
    closed_in: list[int] = field(default_factory=list)

    def read(self) -> None:
        """Note the beginning of a read."""
        self.reads += 1
        ident = threading.get_ident()
        if ident not in self.read_in:
            self.read_in.append(ident)

    def close(self) -> None:
        """Note a close."""
        self.closed += 1
        self.closed_in.append(threading.get_ident())

    async def run_background(self) -> None:
        """A background task."""
        self.background += 1


class AsyncChunks(AsyncIterator[object]):
    """An asynchronous iterator that follows a script, over and over if it is `endless`."""

    def __init__(self, ledger: Ledger, *script: Step, endless: bool = False) -> None:
        self._ledger = ledger
        self._steps = itertools.cycle(script) if endless else iter(script)

    async def __anext__(self) -> object:
        self._ledger.read()
        match next(self._steps, None):
            case None:
                raise StopAsyncIteration
            case Forever():
                return await asyncio.Event().wait()
            case BaseException() as exc:
                raise exc
            case chunk:
                self._ledger.pulled += len(chunk)
                return chunk

    async def aclose(self) -> None:
        self._ledger.close()


class Chunks(Iterator[object]):
    """A synchronous iterator that follows a script, over and over if it is `endless`."""

    def __init__(self, ledger: Ledger, *script: Step, endless: bool = False) -> None:
        self._ledger = ledger
        self._steps = itertools.cycle(script) if endless else iter(script)

    def __next__(self) -> object:
        self._ledger.read()
        match next(self._steps, None):
            case None:
                raise StopIteration
            case BaseException() as exc:
                raise exc
            case chunk:
                self._ledger.pulled += len(chunk)  # type: ignore[arg-type]
                return chunk

    def close(self) -> None:
        self._ledger.close()


class ScriptedBody:
    """A `Body` that follows a script."""

    def __init__(self, ledger: Ledger, *script: Step) -> None:
        self._chunks = AsyncChunks(ledger, *script)

    async def read(self) -> Chunk:
        try:
            return await anext(self._chunks)  # type: ignore[return-value]
        except StopAsyncIteration:
            return b""

    async def aclose(self) -> None:
        await self._chunks.aclose()


@dataclass
class ScriptedSource:
    """A `Source` of one object: its body follows a script; `failure` is raised by `open` instead."""

    script: Script = ()
    size: int | None = None
    failure: BaseException | None = None
    stalls: bool = False
    ledger: Ledger = field(default_factory=Ledger)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: Any) -> None:
        pass

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        self.ledger.opened += 1
        if self.stalls:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        metadata = Metadata(size=self.size, etag=ETag("v1"), content_type="image/png", ranges=False)
        return Found(metadata, None, ScriptedBody(self.ledger, *self.script))


@dataclass
class Exchange:
    """An ASGI connection without a server: what is sent is kept; `leave` disconnects."""

    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    scope_type: str = "http"
    sent: list[dict[str, Any]] = field(default_factory=list)
    fail_after: int | None = None
    stall_after: int | None = None
    extra_scope: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._gone = asyncio.Event()
        self._asked = False

    @property
    def scope(self) -> dict[str, Any]:
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.fields]
        return {
            "type": self.scope_type,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            **self.extra_scope,
        }

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.sent[0]["headers"]}

    @property
    def is_complete(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False

    def leave(self) -> None:
        """The client goes away."""
        self._gone.set()

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.fail_after is not None and len(self.sent) >= self.fail_after:
            raise OSError("the client is gone")
        if self.stall_after is not None and len(self.sent) >= self.stall_after:
            await asyncio.Event().wait()
        self.sent.append(message)

    async def call(self, app: Any) -> Self:
        """Run `app` on this connection."""
        await app(self.scope, self.receive, self.send)
        return self
