"""One call of an `ObjectResponse`: the straight line from request to last byte, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from sluicegate.delivery.account import Account, Asked
from sluicegate.delivery.pace import DrainLimit
from sluicegate.delivery.pump import Pump, begin, send_end, send_head, send_head_on
from sluicegate.delivery.watch import ClientWatch, Receive, Send
from sluicegate.errors import ClientGone, MethodNotAllowed, NotFound, SluicegateError, TransferCut
from sluicegate.flow import clock
from sluicegate.flow.closing import close
from sluicegate.flow.opening import NOTHING, Target, open_object
from sluicegate.flow.throttle import Throttle, ThrottledBody
from sluicegate.http.exchange import (
    ClientRequest,
    Head,
    NotModified,
    Overrides,
    Partial,
    PreconditionFailed,
    Problem,
    Unsatisfiable,
    accepted_request_id,
    answer,
    answer_error,
    answer_problem,
    read_request,
)
from sluicegate.http.exchange import Outcome as Answer
from sluicegate.http.fields import end_to_end
from sluicegate.http.tracing import REQUEST_ID, tracing_fields
from sluicegate.observe import Observer, Outcome, outcome_of_cut, told
from sluicegate.sources.base import Body, Source

logger = logging.getLogger("sluicegate")

FORWARDED: Final = ("accept", "accept-language")
"""A client's fields that go on to origins that speak HTTP, beside those that name the request; ranges and
conditions go by themselves. `Authorization` and `Cookie` are between the client and this server."""

_ALLOWED: Final = Head(HTTPStatus.NO_CONTENT, (("allow", ", ".join(MethodNotAllowed.allowed)),), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a route offers: the objects of a source, and how transfers of them are limited and told of."""

    source: Source
    denied_status: int
    limit: DrainLimit | None
    observe: Observer | None
    route: str | None
    store: str | None
    note_parked: Callable[[int], None] | None
    server_timing: bool
    max_ranges: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object of an offer, what to say of it, who wants it as far as that is known, and what its bytes wait
    for.
    """

    offer: Offer
    key: str
    overrides: Overrides
    client: str | None = None
    subject: str | None = None
    throttles: tuple[Throttle, ...] = ()

    @property
    def asked(self) -> Asked:
        """What a record says of it."""
        return Asked(self.key, self.offer.route, self.offer.store, self.client, self.subject)


async def serve(wanted: Wanted, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request for an object, and tell the observer of it.

    Returns also where the client left. Raises `TransferCut` where the answer was cut.
    """
    offer = wanted.offer
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    fields = end_to_end([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
    account = Account(scope["method"], fields, _request_id(fields), offer.note_parked)
    try:
        await _judged(_Call(wanted, account, fields, ClientWatch(receive, offer.limit)), send)
    finally:
        if offer.observe is not None:
            account.report(offer.observe, wanted.asked)


def _request_id(fields: dict[str, str]) -> str:
    """The client's own if it is harmless, else a new one."""
    return accepted_request_id(fields.get(REQUEST_ID)) or secrets.token_hex(8)


async def _judged(call: _Call, send: Send) -> None:
    """Run the call, and note in its account how it ended."""
    account, wanted = call.account, call.wanted
    try:
        await call.run(send)
        account.outcome = Outcome.COMPLETE
    except ClientGone:
        account.outcome = Outcome.CLIENT_GONE
        logger.debug("the client left before the end of %r (request %s)", wanted.key, account.request_id)
    except TransferCut as cut:
        account.outcome, account.error = outcome_of_cut(cut), told(cut)
        if wanted.offer.observe is None:
            logger.error("%r was cut: %s (request %s)", wanted.key, cut, account.request_id)  # noqa: TRY400
        raise
    except asyncio.CancelledError:
        account.outcome = Outcome.DRAINED
        raise
    except BaseException as bug:
        account.outcome, account.error = Outcome.FAILED, told(bug)
        raise


@dataclass(slots=True)
class _Call:
    """A request on its way: what it is for, its fields, its client, its body, when the origin was asked."""

    wanted: Wanted
    account: Account
    fields: dict[str, str]
    watch: ClientWatch
    body: Body = NOTHING
    asked_at: float | None = None

    async def run(self, send: Send) -> None:
        """Answer, and close the body."""
        try:
            async with self.watch:
                await self._serve(self.watch.paced(send))
        finally:
            # When the watch has ended: servers report a disconnect as soon as the answer is complete, and
            # that must not interrupt the closing.
            await close(self.body)

    async def _serve(self, send: Send) -> None:
        """Read the request, ask the origin, answer, pump."""
        account = self.account
        if account.method == "OPTIONS":
            await self._send_head(_ALLOWED, send)
            return
        target = Target(self.wanted.offer.source, self.wanted.key, self._forwarded(), account.tally)
        try:
            request = read_request(account.method, self.fields, self.wanted.offer.max_ranges)
            self.asked_at = clock.now()
            opened = await open_object(target, request, self.wanted.overrides, _boundary(request))
        except SluicegateError as error:
            await self._fail(error, send)
            return
        self.body = opened.body
        await self._answer(answer(opened.outcome, self.wanted.overrides), opened.outcome, send)

    def _forwarded(self) -> tuple[tuple[str, str], ...]:
        """What goes on to an origin that speaks HTTP."""
        own = [(name, self.fields[name]) for name in FORWARDED if name in self.fields]
        return (*own, *tracing_fields(self.fields, self.account.request_id))

    async def _answer(self, head: Head, outcome: Answer, send: Send) -> None:
        wants_head = self.account.method == "HEAD"
        if isinstance(outcome, PreconditionFailed | Unsatisfiable):
            title = HTTPStatus(head.status).phrase
            problem = answer_problem(head.status, title, self.account.request_id, fields=head.fields)
            await self._send_problem(problem, send)
            return
        if wants_head or isinstance(outcome, NotModified):
            await self._send_head(head, send)
            return
        try:
            begun = await begin(head, self.body)
        except SluicegateError as error:
            await self._fail(error, send)
            return
        await send_head(self._timed(self._identified(head)), send)
        self.account.note_head(head, outcome.span if isinstance(outcome, Partial) else None)
        if throttles := self.wanted.throttles:
            await send_head_on(send)
            await self._pump(Pump(head.length, ThrottledBody(begun, throttles), send, self.watch.look))
        else:
            await self._pump(Pump(head.length, begun, send, self.watch.look))

    async def _pump(self, pump: Pump) -> None:
        try:
            await pump.run()
        finally:
            self.account.sent += pump.sent

    async def _send_head(self, head: Head, send: Send) -> None:
        await send_head(self._timed(self._identified(head)), send)
        self.account.note_head(head)
        await send_end(send)

    async def _send_problem(self, problem: Problem, send: Send) -> None:
        wants_head = self.account.method == "HEAD"
        content = b"" if wants_head else problem.content
        await send_head(self._timed(problem.head), send)
        self.account.note_head(problem.head)
        await send_end(send, content)
        self.account.sent += len(content)

    async def _fail(self, error: SluicegateError, send: Send) -> None:
        """Answer with what went wrong. An observer is told; without one, the log is."""
        request_id = self.account.request_id
        self.account.error = told(error)
        if self.wanted.offer.observe is None:
            level = logging.INFO if type(error) in (NotFound, MethodNotAllowed) else logging.WARNING
            logger.log(level, "%s: %s (request %s)", type(error).__name__, error, request_id)
        problem = answer_error(error, request_id, denied_status=self.wanted.offer.denied_status)
        await self._send_problem(problem, send)

    def _identified(self, head: Head) -> Head:
        """The head with the request's id, unless the route has set one."""
        if REQUEST_ID in dict(head.fields):
            return head
        return Head(head.status, (*head.fields, (REQUEST_ID, self.account.request_id)), head.length)

    def _timed(self, head: Head) -> Head:
        """The head with the origin's time: it is sent as soon as there is a chunk, or a verdict."""
        if not self.wanted.offer.server_timing or self.asked_at is None:
            return head
        milliseconds = (clock.now() - self.asked_at) * 1000
        timing = ("server-timing", f"origin;dur={milliseconds:.1f}")
        return Head(head.status, (*head.fields, timing), head.length)


def _boundary(request: ClientRequest) -> str:
    """What separates the parts of an answer of several: nobody can have put it into the object."""
    return secrets.token_hex(16) if request.ranges is not None and len(request.ranges) > 1 else ""
