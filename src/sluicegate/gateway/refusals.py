"""What the server refuses before the gateway hears of it: told as every other answer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sluicegate.observe import Observer

from .answers import own_record
from .metrics import Metrics, Refused
from .protocol import Refusal

SILENT: Final[Refused] = "silent"
"""A connection on which nothing came. Browsers make some in case they need them, so the log has no line."""

REASONS: Final[Mapping[int | None, tuple[Refused, str]]] = {
    400: ("malformed", "what was sent is not HTTP/1.1"),
    408: ("head_timeout", "the head of the request took too long"),
    414: ("url_too_long", "the URL is too long"),
    431: ("head_too_large", "the head of the request is too large"),
    503: ("connections", "too many connections"),
    None: (SILENT, "nothing was sent"),
}
"""By status, what a refusal is counted as, and what the log says."""


class RefusalObserver:
    """Counts connections and what is refused of them, and tells `log` of refusals."""

    def __init__(self, metrics: Metrics, log: Observer) -> None:
        self._metrics = metrics
        self._log = log

    def connections(self, change: int) -> None:
        """So many more are open."""
        self._metrics.connected(change)

    def refusal(self, refusal: Refusal) -> None:
        """One was not let in, or not to its end."""
        counted_as, said = REASONS[refusal.status]
        self._metrics.refused(None, counted_as)
        if refusal.status is not None:
            record = own_record(refusal.status, refusal.seconds, f"Protocol: {said}", refusal.client)
            self._metrics(record)
            self._log(record)
