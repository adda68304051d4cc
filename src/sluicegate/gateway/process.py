"""What a process has for all the configurations that it serves in turn: its numbers, gates and spans."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sluicegate import __version__
from sluicegate.observe import Observer

from .app import Gateway, both
from .config import Config
from .metrics import Metrics
from .process_state import ProcessState
from .refusals import RefusalObserver
from .transfer_log import transfer_logger

if TYPE_CHECKING:
    from .tracing import SpanObserver


@dataclass(slots=True)
class Process:
    """Makes the gateway of a configuration; what it counts goes on from one to the next."""

    state: ProcessState = field(default_factory=lambda: ProcessState(Metrics(__version__)))
    _log: Observer = field(default_factory=transfer_logger)
    _spans: SpanObserver | None = None

    @property
    def metrics(self) -> Metrics:
        """The numbers of the process."""
        return self.state.metrics

    def gateway(self, config: Config) -> Gateway:
        """The gateway of a configuration; raises `SluicegateError` for what cannot be used."""
        observe = both(self._log, self._traced()) if config.gateway.tracing else self._log
        return Gateway(config, observe, self.state)

    def listener(self) -> RefusalObserver:
        """Who is told of connections and refusals of the server."""
        return RefusalObserver(self.metrics, self._log)

    def _traced(self) -> Observer:
        if self._spans is None:
            # Here: its libraries are an extra, and take as long to import as all others together.
            from .tracing import span_exporter  # noqa: PLC0415

            self._spans = span_exporter(__version__)
        return self._spans

    def close(self) -> None:
        """Send the spans that are left. It may take seconds, so not in the event loop."""
        if self._spans is not None:
            self._spans.close()
