"""What the server refuses before the gateway hears of it: counted, and told as other answers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sluicegate.http.addresses import parse_address
from sluicegate.observe import Observer

from .answers import own_record
from .metrics import Metrics
from .protocol import Refusal, RefusalReason

TOLD: Final[Mapping[RefusalReason, str]] = {
    "malformed": "what was sent is not HTTP/1.1",
    "head_timeout": "the head of the request took too long",
    "url_too_long": "the URL is too long",
    "head_too_large": "the head of the request is too large",
}
"""What the log says. Of others it has no line: browsers open connections in case they need them, and who
comes with too many would fill it."""


class RefusalObserver:
    """Counts connections and what is refused of them, and tells `log` of requests that were answered so."""

    def __init__(self, metrics: Metrics, log: Observer) -> None:
        self._metrics = metrics
        self._log = log

    def connections(self, change: int) -> None:
        """So many more are open."""
        self._metrics.connected(change)

    def refusal(self, refusal: Refusal) -> None:
        """One was not let in, or not to its end."""
        self._metrics.refused(None, refusal.reason)
        said = TOLD.get(refusal.reason)
        # Without an answer of its own, it has cut one that has a line.
        if said is not None and refusal.status is not None:
            client = None if refusal.client is None else parse_address(refusal.client)
            shown = None if client is None else str(client)
            # Not the member of an enumeration, which a line as text would spell out.
            self._log(own_record(int(refusal.status), refusal.seconds, f"Protocol: {said}", shown))
