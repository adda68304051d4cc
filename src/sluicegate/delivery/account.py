"""The account of one call of a response: what was asked for, what has been sent, and the record of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from sluicegate.http.exchange import Head
from sluicegate.http.ranges import Span
from sluicegate.http.tracing import trace_id_of
from sluicegate.observe import Observer, Outcome, TransferRecord, bounded
from sluicegate.sources.tally import Tally

logger = logging.getLogger("sluicegate")

_NO_CONTENT: Final = frozenset({204, 304})


class Account:
    """What one call was asked for, what it has `sent` so far in bytes of content, and how it ended."""

    def __init__(self, method: str, fields: Mapping[str, str], request_id: str) -> None:
        self.method = method
        self.request_id = request_id
        self.tally = Tally()
        self.outcome = Outcome.FAILED
        self.error: str | None = None
        self.sent = 0
        self._trace_id = trace_id_of(fields.get("traceparent"))
        self._asked = fields.get("range")
        self._time = asyncio.get_running_loop().time
        self._began = self._time()
        self._status: int | None = None
        self._served: Span | None = None
        self._promised: int | None = None
        self._first_byte_seconds: float | None = None

    def note_head(self, head: Head, served: Span | None = None) -> None:
        """Note a head that the server has, and the span that its content is of the object."""
        self._first_byte_seconds = self._time() - self._began
        has_content = self.method != "HEAD" and head.status not in _NO_CONTENT
        self._status = int(head.status)
        self._promised = head.length if has_content else 0
        self._served = served

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
            bytes_sent=self.sent,
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
