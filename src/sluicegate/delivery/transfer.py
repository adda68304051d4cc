"""One call of an `ObjectResponse`: the straight line from request to last byte, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from sluicegate.delivery.account import Account
from sluicegate.delivery.closing import owned
from sluicegate.delivery.pace import DrainLimit
from sluicegate.delivery.pump import begin, pump, send_head, send_head_alone, send_problem
from sluicegate.delivery.watch import ClientWatch, Receive, Send
from sluicegate.errors import ClientGone, MethodNotAllowed, NotFound, SluicegateError, TransferCut
from sluicegate.flow.opening import Target, open_object
from sluicegate.http.exchange import (
    Head,
    NotModified,
    Overrides,
    PreconditionFailed,
    Unsatisfiable,
    accepted_request_id,
    answer,
    answer_error,
    answer_problem,
    read_request,
)
from sluicegate.http.exchange import Outcome as Answer
from sluicegate.http.fields import end_to_end
from sluicegate.http.tracing import tracing_fields
from sluicegate.observe import Observer, Outcome, outcome_of_cut, told
from sluicegate.sources.base import Body, Source

logger = logging.getLogger("sluicegate")

FORWARDED: Final = ("accept", "accept-language")
"""A client's fields that go on to origins that speak HTTP, beside those that name the request; ranges and
conditions go by themselves. `Authorization` and `Cookie` are between the client and this server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a route offers: an object of a source, and what the route says of it and of its transfers."""

    source: Source
    key: str
    overrides: Overrides
    denied_status: int
    limit: DrainLimit | None
    observe: Observer | None
    route: str | None
    store: str | None


async def serve_offer(
    offer: Offer, method: str, headers: Iterable[tuple[bytes, bytes]], receive: Receive, send: Send
) -> None:
    """Answer one request, and tell the observer of it.

    Returns also where the client left. Raises `TransferCut` where the answer was cut.
    """
    fields = end_to_end((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    request_id = accepted_request_id(fields.get("x-request-id")) or secrets.token_hex(8)
    account = Account(method, fields, request_id, send)
    try:
        await _judged(offer, account, fields, receive)
    finally:
        if offer.observe is not None:
            account.report(offer.observe, key=offer.key, route=offer.route, store=offer.store)


async def _judged(offer: Offer, account: Account, fields: dict[str, str], receive: Receive) -> None:
    """Run the transfer, and note in its account how it ended."""
    watch = ClientWatch(receive, offer.limit)
    try:
        # The body is closed after the watch has ended: servers report a disconnect as soon as the answer
        # is complete, and that must not interrupt the closing.
        async with AsyncExitStack() as ownership, watch:
            await _Transfer(offer, account, fields, watch.paced(account.send)).run(ownership)
        account.outcome = Outcome.COMPLETE
    except ClientGone:
        account.outcome = Outcome.CLIENT_GONE
        logger.debug("the client left before the end of %r (request %s)", offer.key, account.request_id)
    except TransferCut as cut:
        account.outcome, account.error = outcome_of_cut(cut), told(cut)
        if offer.observe is None:
            logger.error("%r was cut: %s (request %s)", offer.key, cut, account.request_id)  # noqa: TRY400
        raise
    except asyncio.CancelledError:
        account.outcome = Outcome.DRAINED
        raise
    except BaseException as bug:
        account.outcome, account.error = Outcome.FAILED, told(bug)
        raise


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A request on its way: what it is for, its fields, and the way back."""

    offer: Offer
    account: Account
    fields: dict[str, str]
    send: Send

    async def run(self, ownership: AsyncExitStack) -> None:
        """Read the request, ask the origin, answer, pump. `ownership` closes the body."""
        offer, account = self.offer, self.account
        if account.method == "OPTIONS":
            allow = ("allow", ", ".join(MethodNotAllowed.allowed))
            await send_head_alone(Head(HTTPStatus.NO_CONTENT, (allow,), 0), self.send)
            return
        target = Target(offer.source, offer.key, self._forwarded(), account.tally)
        try:
            request = read_request(account.method, self.fields)
            opened = await open_object(target, request, offer.overrides, secrets.token_hex(16))
        except SluicegateError as error:
            await self._fail(error)
            return
        body = await ownership.enter_async_context(owned(opened.body))
        await self._answer(answer(opened.outcome, offer.overrides), opened.outcome, body)

    def _forwarded(self) -> tuple[tuple[str, str], ...]:
        """What goes on to an origin that speaks HTTP."""
        own = tuple((name, self.fields[name]) for name in FORWARDED if name in self.fields)
        return own + tracing_fields(self.fields, self.account.request_id)

    async def _answer(self, head: Head, outcome: Answer, body: Body) -> None:
        wants_head = self.account.method == "HEAD"
        if isinstance(outcome, PreconditionFailed | Unsatisfiable):
            title = HTTPStatus(head.status).phrase
            problem = answer_problem(head.status, title, self.account.request_id, fields=head.fields)
            await send_problem(problem, self.send, head_alone=wants_head)
            return
        if wants_head or isinstance(outcome, NotModified):
            await send_head_alone(head, self.send)
            return
        try:
            begun = await begin(head, body)
        except SluicegateError as error:
            await self._fail(error)
            return
        await send_head(head, self.send)
        await pump(head.length, begun, self.send)

    async def _fail(self, error: SluicegateError) -> None:
        """Answer with what went wrong. An observer is told; without one, the log is."""
        request_id = self.account.request_id
        self.account.error = told(error)
        if self.offer.observe is None:
            level = logging.INFO if type(error) in (NotFound, MethodNotAllowed) else logging.WARNING
            logger.log(level, "%s: %s (request %s)", type(error).__name__, error, request_id)
        problem = answer_error(error, request_id, denied_status=self.offer.denied_status)
        await send_problem(problem, self.send, head_alone=self.account.method == "HEAD")
