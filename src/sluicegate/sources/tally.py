"""What one transfer has cost so far, counted by whoever spends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

MAX_EVENTS: Final = 64
"""How many events a tally keeps, the first ones: a transfer that goes wrong all day must not grow."""

Event = Literal["resume", "retry", "park", "unpark"]


@dataclass(slots=True)
class Tally:
    """A transfer's account at its origin. It travels with every request that is made for the transfer.

    - `requests`: requests to the origin, those that failed among them.
    - `parts`: pieces that the body came in, each by a request of its own; 1 where nothing went wrong, and 0
      where no body was opened.
    - `resumes`: how often a body that broke was asked for again from the byte where it broke.
    - `retries`: how often a request that failed was made again.
    - `parkings` and `parked_seconds`: how often, and how long in all, no connection to the origin was held
      because the client took nothing.
    - `origin_bytes`: content that came from the origin, also what was thrown away and asked for again.
    - `events`: what happened and when, by the time of the event loop, at most `MAX_EVENTS` of them.
    - `note_parked`: called with 1 when the transfer is parked, and with -1 when it is not any more. It must
      not raise.
    """

    requests: int = 0
    parts: int = 0
    resumes: int = 0
    retries: int = 0
    parkings: int = 0
    parked_seconds: float = 0.0
    origin_bytes: int = 0
    events: tuple[tuple[float, Event], ...] = ()
    note_parked: Callable[[int], None] | None = None
    parked_at: float | None = None

    def resumed(self, now: float) -> None:
        """Count a resume."""
        self.resumes += 1
        self._note("resume", now)

    def retried(self, now: float) -> None:
        """Count a retry."""
        self.retries += 1
        self._note("retry", now)

    def park(self, now: float) -> None:
        """Count a parking that begins."""
        self.parkings += 1
        self.parked_at = now
        self._note("park", now)
        if self.note_parked is not None:
            self.note_parked(1)

    def unpark(self, now: float) -> None:
        """Count the time of a parking that ends; nothing where there is none."""
        if self.parked_at is None:
            return
        self.parked_seconds += now - self.parked_at
        self.parked_at = None
        self._note("unpark", now)
        if self.note_parked is not None:
            self.note_parked(-1)

    def _note(self, event: Event, now: float) -> None:
        if len(self.events) < MAX_EVENTS:
            self.events = (*self.events, (now, event))
