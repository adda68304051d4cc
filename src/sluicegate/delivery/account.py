"""The account of one call of a response: reads what passes to the server, and becomes a record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from sluicegate.delivery.watch import Message, Send
from sluicegate.http.ranges import Span, parse_content_range
from sluicegate.http.tracing import trace_id_of
from sluicegate.observe import Observer, Outcome, TransferRecord, bounded
from sluicegate.sources.tally import Tally

logger = logging.getLogger("sluicegate")

REQUEST_ID_FIELD: Final = b"x-request-id"

_NO_CONTENT: Final = frozenset({204, 304})


class Account:
    """What one call was asked for, what it has sent so far, and how it ended.

    `send` goes between the response and the server: it counts, and names the request in the answer.
    """

    def __init__(self, method: str, fields: Mapping[str, str], request_id: str, send: Send) -> None:
        self.method = method
        self.request_id = request_id
        self.tally = Tally()
        self.outcome = Outcome.FAILED
        self.error: str | None = None
        self._trace_id = trace_id_of(fields.get("traceparent"))
        self._asked = fields.get("range")
        self._send = send
        self._time = asyncio.get_running_loop().time
        self._began = self._time()
        self._status: int | None = None
        self._served: Span | None = None
        self._promised: int | None = None
        self._sent = 0
        self._first_byte_seconds: float | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, and note it when the server has it."""
        if message["type"] == "http.response.start":
            await self._send(_identified(message, self.request_id))
            self._note_head(message)
            return
        await self._send(message)
        if message["type"] == "http.response.body":
            self._sent += len(message.get("body", b""))

    def _note_head(self, message: Message) -> None:
        self._first_byte_seconds = self._time() - self._began
        status: int = message["status"]
        fields = {name.lower(): value.decode("latin-1") for name, value in message["headers"]}
        has_content = self.method != "HEAD" and status not in _NO_CONTENT
        length = fields.get(b"content-length") if has_content else "0"
        place = parse_content_range(fields.get(b"content-range", ""))
        self._status = status
        self._promised = None if length is None else int(length)
        self._served = None if place is None else place.span

    def report(self, observe: Observer, *, key: str, route: str | None, store: str | None) -> None:
        """Tell the observer what happened. It is the end of the call, which nothing here can spoil."""
        try:
            observe(self._record(key, route, store))
        except Exception:
            logger.exception("the observer failed (request %s)", self.request_id)

    def _record(self, key: str, route: str | None, store: str | None) -> TransferRecord:
        tally = self.tally
        return TransferRecord(
            request_id=self.request_id,
            trace_id=self._trace_id,
            method=self.method,
            route=route,
            store=store,
            key=key,
            status=self._status,
            span_asked=None if self._asked is None else bounded(self._asked),
            span_served=self._served,
            bytes_promised=self._promised,
            bytes_sent=self._sent,
            first_byte_seconds=self._first_byte_seconds,
            duration_seconds=self._time() - self._began,
            requests=tally.requests,
            parts=tally.parts,
            resumes=tally.resumes,
            retries=tally.retries,
            parkings=tally.parkings,
            parked_seconds=tally.parked_seconds,
            outcome=self.outcome,
            error=self.error,
        )


def _identified(message: Message, request_id: str) -> Message:
    """The head with the request's id, unless it has one."""
    headers = list(message["headers"])
    if any(name.lower() == REQUEST_ID_FIELD for name, _ in headers):
        return message
    return {**message, "headers": [*headers, (REQUEST_ID_FIELD, request_id.encode("ascii"))]}
