"""What a process keeps while configurations come and go: its numbers, its counts, and who holds how much."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluicegate import Budget
from sluicegate.access.counters import Counters

from .gates import Gates
from .metrics import Metrics


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The state that requests of all configurations share.

    `client_counters` are of each client, `common_counters` of all together and of links: no number of clients
    pushes those out. `has_siblings` tells whether other processes serve the same clients.
    """

    metrics: Metrics
    gates: Gates = field(default_factory=Gates)
    client_counters: Counters = field(default_factory=Counters)
    common_counters: Counters = field(default_factory=Counters)
    budget: Budget = field(default_factory=lambda: Budget(0))
    has_siblings: bool = False
