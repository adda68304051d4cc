"""What one transfer has cost so far, counted by whoever spends it."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    requests: int = 0
    parts: int = 0
    resumes: int = 0
    retries: int = 0
    parkings: int = 0
    parked_seconds: float = 0.0
