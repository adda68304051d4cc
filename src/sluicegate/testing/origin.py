"""An origin on a real socket that fails as it is told to: for tests of whatever streams from HTTP or S3.

It needs nothing but the standard library (trustme for TLS) and runs in a thread of its own, so that tests
of any kind can use it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

from sluicegate.http.metadata import Metadata
from sluicegate.testing.certificates import Certificate, server_tls
from sluicegate.testing.faults import Fault
from sluicegate.testing.held import Content, Described, held_object
from sluicegate.testing.rules import Predicate, Rule
from sluicegate.testing.seen import Connected, Ledger, Seen
from sluicegate.testing.serving import HOST, ServingThread
from sluicegate.testing.site import Maker, Site

GLANCE_SECONDS: Final = 0.005
WAIT_SECONDS: Final = 20.0


class FaultyOrigin:
    """An HTTP/1.1 server on a free port of 127.0.0.1 that serves objects, and breaks as it is told to.

        with FaultyOrigin() as origin:
            origin.put("/photos/1.jpg", b"...")
            origin.fail("/photos/1.jpg", Reset(after=1000), times=2)
            ...  # read origin.url + "/photos/1.jpg"
            assert origin.requests[0].ended == "reset"

    It answers GET, HEAD, PUT and DELETE, single ranges, conditions and ListObjectsV2, as S3 does with
    path-style addresses: the bucket is the first segment of the path. Signatures are not checked. To an HTTP
    client the same objects are at the same paths. Paths are decoded, with or without a leading slash.

    Use it in a `with` block, in synchronous and asynchronous tests alike. Everything may be called from any
    thread at any time, and holds for the requests that come from then on. `tls` serves HTTPS with a
    certificate by trustme: a good one (`True`), or a bad one by its name. `send_buffer` is the size of the
    sockets' send buffers in bytes: a small one makes a client that does not read felt early.
    """

    def __init__(self, *, tls: bool | Certificate = False, send_buffer: int | None = None) -> None:
        self._tls: Certificate | None = ("good" if tls is True else tls) or None
        self._send_buffer = send_buffer
        self._site = Site()
        self._stack = ExitStack()
        self._serving: ServingThread | None = None
        self._ca_file: Path | None = None

    def __enter__(self) -> Self:
        """Begin to serve."""
        context = None
        with ExitStack() as stack:
            if self._tls is not None:
                context, self._ca_file = server_tls(self._tls, stack)
            serving = ServingThread(self._site, context, self._send_buffer)
            serving.start()
            self._stack = stack.pop_all()
        self._serving = serving
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all connections and stop. Raises `RuntimeError` if a predicate or a maker of yours failed."""
        serving = self._running()
        serving.stop()
        self._stack.close()
        if serving.failures and exc is None:
            problem = serving.failures[0]
            raise RuntimeError(f"the origin failed to answer: {problem!r}") from problem

    # Where it is.

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._running().port

    @property
    def url(self) -> str:
        """The address, without a slash at its end: `http://127.0.0.1:PORT`."""
        return f"{'http' if self._tls is None else 'https'}://{HOST}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority to trust, in PEM; `RuntimeError` without `tls`."""
        if self._ca_file is None:
            raise RuntimeError("an origin has a ca_file if it is made with tls and entered")
        return self._ca_file

    # What it holds.

    def put(self, path: str, content: Content, **described: Unpack[Described]) -> Metadata:
        """Hold `content` at `path`, in the place of what was there; returns how it is described.

        The rest is what `Described` names: `etag`, `weak`, `last_modified`, `content_type`, `ranges`,
        `length`, `fields`. The type comes from the path and a strong tag from the content, unless given.
        """
        held = held_object(_plain(path), content, **described)
        self._site.hold(_plain(path), held)
        return held.metadata

    def delete(self, path: str) -> None:
        """Hold nothing at `path` any more."""
        self._site.drop(_plain(path))

    def content(self, path: str) -> Content | None:
        """What is held at `path`, which a client may have put there; `None` if nothing is."""
        held = self._site.find(_plain(path))
        return None if held is None else held.content

    def on_missing(self, make: Maker | None) -> None:
        """Ask `make` for what is held at no path: it gets the path and returns a `held_object`, or `None`.

        It is called in the origin's thread.
        """
        self._site.maker = make

    # What goes wrong.

    def fail(
        self,
        path: str,
        *faults: Fault,
        times: int | None = None,
        first: int = 1,
        when: Predicate | None = None,
    ) -> None:
        """Let requests for `path` meet `faults`: always, or `times` times, from the `first` one on.

        Requests are counted from this call on, from 1. `when` gets the request (its `method`, `path`,
        `query`, `fields` and `range`), and only those for which it is true are counted and meet the faults.
        """
        self._site.add_rule(Rule((faults,), _plain(path), when, first, times))

    def always(self, *faults: Fault, when: Predicate | None = None) -> None:
        """Let every request for whatever path meet `faults`; `when` as for `fail`."""
        self._site.add_rule(Rule((faults,), None, when))

    def script(
        self,
        path: str,
        steps: Iterable[Fault | tuple[Fault, ...]],
        *,
        when: Predicate | None = None,
    ) -> None:
        """Let the next requests for `path` meet the `steps`, one each: a fault, a tuple of them, or `OK`.

        After the last step nothing goes wrong any more.
        """
        script = tuple(step if isinstance(step, tuple) else (step,) for step in steps)
        if script:
            self._site.add_rule(Rule(script, _plain(path), when, times=len(script)))

    def heal(self, path: str | None = None) -> None:
        """Take back what was told of `path`, or all of it. Answers that are under way go on as they began."""
        self._site.forget_rules(None if path is None else _plain(path))

    def release(self) -> None:
        """Let everything go on that stalls at present until it is released."""
        self._running().release()

    # Trouble with connections.

    def refuse(self) -> None:
        """Refuse new connections, until `accept_again`. Those that are open stay."""
        self._running().refuse()

    def ignore(self) -> None:
        """Accept new connections, and never read from them nor notice that they end, until `accept_again`."""
        self._site.ignoring = True

    def accept_again(self) -> None:
        """Accept new connections, on the same port, and serve them."""
        self._site.ignoring = False
        self._running().accept()

    def disconnect(self, *, reset: bool = False) -> None:
        """Close, or reset, every connection that is open, be it busy or idle."""
        self._running().disconnect(reset=reset)

    # What happened.

    @property
    def requests(self) -> tuple[Seen, ...]:
        """The requests so far, as they are now, in the order in which they came."""
        return self._ledger.requests()

    @property
    def connections(self) -> tuple[Connected, ...]:
        """The connections that are open."""
        return self._ledger.open_connections()

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return self._ledger.open_count()

    @property
    def busy_connections(self) -> int:
        """How many connections have an answer under way."""
        return self._ledger.busy_count()

    @property
    def total_connections(self) -> int:
        """How many connections were accepted."""
        return self._ledger.connections

    @property
    def peak_connections(self) -> int:
        """How many connections were open at once, at most."""
        return self._ledger.peak_connections

    @property
    def peak_busy_connections(self) -> int:
        """How many answers were under way at once, at most."""
        return self._ledger.peak_busy

    @property
    def bytes_sent(self) -> int:
        """Bytes of bodies that were handed to the operating system."""
        return self._ledger.bytes_sent()

    def reset_counts(self) -> None:
        """Count from now on. Answers that are under way stay in `requests`."""
        self._ledger.reset()

    def wait_for(self, condition: Callable[[FaultyOrigin], object], seconds: float = WAIT_SECONDS) -> None:
        """Wait until `condition(origin)` is true; raises `TimeoutError` after `seconds`.

        It blocks the thread: in a coroutine use `until`.
        """
        deadline = time.monotonic() + seconds
        while not condition(self):
            if time.monotonic() > deadline:
                raise TimeoutError(self._not_yet(seconds))
            time.sleep(GLANCE_SECONDS)

    async def until(self, condition: Callable[[FaultyOrigin], object], seconds: float = WAIT_SECONDS) -> None:
        """What `wait_for` does, for coroutines."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            if time.monotonic() > deadline:
                raise TimeoutError(self._not_yet(seconds))
            await asyncio.sleep(GLANCE_SECONDS)

    def wait_until_idle(self, seconds: float = WAIT_SECONDS) -> None:
        """Wait until no answer is under way; raises `TimeoutError` after `seconds`. It blocks the thread."""
        self.wait_for(_is_idle, seconds)

    async def until_idle(self, seconds: float = WAIT_SECONDS) -> None:
        """What `wait_until_idle` does, for coroutines."""
        await self.until(_is_idle, seconds)

    def _not_yet(self, seconds: float) -> str:
        lines = [
            f"  {seen.method} /{seen.path}: {seen.sent} bytes sent" for seen in self.requests if seen.open
        ]
        return "\n".join([f"not so within {seconds} s; {self.open_connections} connections are open", *lines])

    @property
    def _ledger(self) -> Ledger:
        # A client may have the last byte of an answer before the thread that sent it gets to say so.
        if self._serving is not None:
            self._serving.settle()
        return self._site.ledger

    def _running(self) -> ServingThread:
        if self._serving is None:
            raise RuntimeError("the origin runs inside a with block: with FaultyOrigin() as origin")
        return self._serving


def _plain(path: str) -> str:
    return path.removeprefix("/")


def _is_idle(origin: FaultyOrigin) -> bool:
    return origin.busy_connections == 0
