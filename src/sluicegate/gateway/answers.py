"""What the gateway answers itself, without asking an origin: problems, and the record of each of them."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Self

from starlette.types import Message, Scope, Send

from sluicegate import Outcome, TransferRecord
from sluicegate.http.exchange import Head, accepted_request_id, answer_problem
from sluicegate.http.fields import Fields
from sluicegate.http.tracing import REQUEST_ID, trace_id_of
from sluicegate.observe import Observer, bounded

NO_FIELDS: Fields = ()

RawFields = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAnswer:
    """An answer without content.

    `error` is for the log: `"KIND: what happened"`. `route`, `client` and `subject` are what the record says
    of the request, as far as it is known.
    """

    status: int
    fields: Fields = NO_FIELDS
    error: str | None = None
    route: str | None = None
    client: str | None = None
    subject: str | None = None

    def about(self, route: str | None, client: str | None) -> Self:
        """The answer to a request for a route, of a client."""
        return replace(self, route=route, client=client)

    async def send(self, scope: Scope, send: Send, observe: Observer) -> None:
        """Answer, and tell the observer."""
        began = time.monotonic()
        request_id = request_id_of(scope)
        head, content = self._written(request_id)
        if scope["method"] == "HEAD":
            content = b""
        await send({"type": "http.response.start", "status": int(head.status), "headers": raw(head.fields)})
        await send({"type": "http.response.body", "body": content})
        observe(self._record(scope, request_id, len(content), time.monotonic() - began))

    def _written(self, request_id: str) -> tuple[Head, bytes]:
        return Head(self.status, (*self.fields, (REQUEST_ID, request_id)), 0), b""

    def _record(self, scope: Scope, request_id: str, sent: int, seconds: float) -> TransferRecord:
        answered = own_record(self.status, seconds, self.error, self.client, request_id)
        return replace(
            answered,
            trace_id=trace_id_of(header(scope, b"traceparent")),
            method=bounded(scope["method"]),
            route=self.route,
            key=bounded(scope["raw_path"].decode("latin-1")),
            bytes_promised=sent,
            bytes_sent=sent,
            first_byte_seconds=seconds,
            subject=self.subject,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(OwnAnswer):
    """An answer that says what is wrong; `detail` is for the client."""

    title: str | None = None
    detail: str | None = None

    def _written(self, request_id: str) -> tuple[Head, bytes]:
        title = self.title or HTTPStatus(self.status).phrase
        problem = answer_problem(self.status, title, request_id, detail=self.detail, fields=self.fields)
        return problem.head, problem.content


def own_record(
    status: int | None, seconds: float, error: str | None, client: str | None, request_id: str | None = None
) -> TransferRecord:
    """The record of an answer that no origin had part in, and of whose request nothing is known yet."""
    return TransferRecord(
        request_id=request_id or secrets.token_hex(8),
        method="",
        key="",
        status=status,
        bytes_promised=0,
        duration_seconds=seconds,
        outcome=Outcome.COMPLETE,
        error=None if error is None else bounded(error),
        client=client,
    )


def adding(fields: RawFields, send: Send) -> Send:
    """`send`, with further fields in heads that have none of their names; `Vary` is joined with another."""

    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _joined(list(message["headers"]), fields)}
        await send(message)

    return added


def _joined(own: RawFields, more: RawFields) -> RawFields:
    known = {name for name, _ in own if name != b"set-cookie"}
    fresh = [field for field in more if field[0] not in known]
    varies = [value for name, value in more if name == b"vary"]
    if not varies or b"vary" not in known:
        return own + fresh
    varies = [*(value for name, value in own if name == b"vary"), *varies]
    others = [field for field in (*own, *fresh) if field[0] != b"vary"]
    return [*others, (b"vary", b", ".join(varies))]


def header(scope: Scope, name: bytes) -> str | None:
    """The value of the first field of this lower-case name."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def request_id_of(scope: Scope) -> str:
    """The client's request id if it is harmless, else a new one."""
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"]
    return accepted_request_id(", ".join(given)) or secrets.token_hex(8)


def raw(fields: Fields) -> RawFields:
    """Fields as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
