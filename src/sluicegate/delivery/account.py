"""The account of one call of a response: what was asked for, what has been sent, and the record of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.flow import clock
from sluicegate.http.exchange import Head
from sluicegate.http.ranges import Span
from sluicegate.http.tracing import trace_id_of
from sluicegate.observe import Observer, Outcome, TransferEvent, TransferRecord, bounded
from sluicegate.sources.tally import Tally

logger = logging.getLogger("sluicegate")

_NO_CONTENT: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, where, and by whom: the facts of a record that are known from the beginning."""

    key: str
    route: str | None
    store: str | None
    client: str | None = None
    subject: str | None = None


class Account:
    """What one call was asked for, what it has `sent` so far in bytes of content, and how it ended."""

    def __init__(
        self,
        method: str,
        fields: Mapping[str, str],
        request_id: str,
        note_parked: Callable[[int], None] | None = None,
    ) -> None:
        self.method = method
        self.request_id = request_id
        self.tally = Tally(note_parked=None if note_parked is None else self._tell_parked)
        self._note_parked = note_parked
        self.outcome = Outcome.FAILED
        self.error: str | None = None
        self.sent = 0
        self._parent = fields.get("traceparent")
        self._trace_id = trace_id_of(self._parent)
        self._asked = fields.get("range")
        self._began = clock.now()
        self._status: int | None = None
        self._served: Span | None = None
        self._promised: int | None = None
        self._first_byte_seconds: float | None = None

    def note_head(self, head: Head, served: Span | None = None) -> None:
        """Note a head that the server has, and the span that its content is of the object."""
        self._first_byte_seconds = clock.now() - self._began
        has_content = self.method != "HEAD" and head.status not in _NO_CONTENT
        self._status = int(head.status)
        self._promised = head.length if has_content else 0
        self._served = served

    def report(self, observe: Observer, asked: Asked) -> None:
        """Tell the observer what happened. It is the end of the call, which nothing here can spoil."""
        try:
            observe(self._record(asked))
        except Exception:
            logger.exception("the observer failed (request %s)", self.request_id)

    def _tell_parked(self, change: int) -> None:
        """Hand on that the transfer is parked, or not any more. It goes on whatever comes of that."""
        try:
            if self._note_parked is not None:
                self._note_parked(change)
        except Exception:
            logger.exception("the count of parked transfers failed (request %s)", self.request_id)

    def _record(self, asked: Asked) -> TransferRecord:
        tally = self.tally
        return TransferRecord(
            request_id=self.request_id,
            trace_id=self._trace_id,
            method=self.method,
            route=asked.route,
            store=asked.store,
            key=asked.key,
            status=self._status,
            span_asked=None if self._asked is None else bounded(self._asked),
            span_served=self._served,
            bytes_promised=self._promised,
            bytes_sent=self.sent,
            first_byte_seconds=self._first_byte_seconds,
            duration_seconds=clock.now() - self._began,
            requests=tally.requests,
            parts=tally.parts,
            resumes=tally.resumes,
            retries=tally.retries,
            parkings=tally.parkings,
            parked_seconds=tally.parked_seconds,
            outcome=self.outcome,
            error=self.error,
            client=asked.client,
            subject=asked.subject,
            origin_bytes=tally.origin_bytes,
            parent=None if self._trace_id is None else self._parent,
            events=self._events() if tally.events else (),
        )

    def _events(self) -> tuple[TransferEvent, ...]:
        return tuple(TransferEvent(max(0.0, at - self._began), name) for at, name in self.tally.events)
