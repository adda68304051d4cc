"""Changing the configuration of all workers or of none: the part of the process that looks after them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sluicegate.errors import SluicegateError

from .agreement import (
    Abandon,
    AskReload,
    CannotPrepare,
    Commit,
    Committed,
    Count,
    Prepare,
    Prepared,
    Report,
    Serving,
    Verdict,
)
from .config import Config
from .log import configure_log
from .reloading import Operation, ReloadResult, log_result, refused
from .worker import Worker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Preparing:
    """All who serve have been asked; `ready` have answered well."""

    turn: int
    config: Config
    deadline: float
    ready: set[Worker] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Committing:
    """All were ready, and there is no way back; `waiting` have not said yet that they have changed."""

    turn: int
    config: Config
    deadline: float
    waiting: set[Worker]


class Rounds:
    """The newest configuration that workers serve, and the attempt to change it that is under way.

    `workers` is the list of those that run, as it is at each moment, and `count` how many there should be. A
    worker that ends while it prepares ends the attempt: what it prepared may be why. One that has not come to
    serve holds nothing up: the next one begins with what is in place then. `have_served` is true once all
    have served at the same time. Times are of the monotonic clock.
    """

    def __init__(
        self, config: Config, workers: Sequence[Worker], count: int, operation: Operation | None
    ) -> None:
        self.config = config
        self._workers = workers
        self._count = count
        self._operation = operation
        self._turn = 0
        self._round: _Preparing | _Committing | None = None
        self._again = self.have_served = False
        self._asking: list[tuple[Worker, int]] = []
        self._answering: list[tuple[Worker, int]] = []

    @property
    def seconds_left(self) -> float | None:
        """How long to wait at most before `check_time`."""
        return None if self._round is None else max(self._round.deadline - time.monotonic(), 0.0)

    def ask(self) -> None:
        """Read the file again, as soon as no attempt is under way; one answers all who asked before it."""
        self._again = True
        self._begin_if_idle()

    def heard(self, worker: Worker, report: Report) -> None:
        """Take what a worker says; what belongs to an attempt that is over says nothing."""
        match report, self._round:
            case Serving(), _:
                self._take_in(worker)
            case AskReload(number), _:
                self._asking.append((worker, number))
                self.ask()
            case Prepared(turn), _Preparing(turn=this) as preparing if turn == this:
                preparing.ready.add(worker)
                self._commit_if_agreed(preparing)
            case CannotPrepare(turn, reason), _Preparing(turn=this) if turn == this:
                self._abandon(reason)
            case Committed(turn), _Committing(turn=this) as committing if turn == this:
                self._finish_if_all_have(committing, worker)

    def lost(self, worker: Worker) -> None:
        """Take note that a worker has ended."""
        self._asking = [one for one in self._asking if one[0] is not worker]
        self._answering = [one for one in self._answering if one[0] is not worker]
        match self._round:
            case _Preparing() if worker.serving:
                self._abandon(f"worker {worker.pid} ended meanwhile")
            case _Preparing() as preparing:
                self._commit_if_agreed(preparing)
            case _Committing() as committing:
                # The one that replaces it begins with the new configuration.
                self._finish_if_all_have(committing, worker)

    def check_time(self) -> None:
        """Give up waiting for workers that have taken too long."""
        if self._operation is None or self._round is None or time.monotonic() < self._round.deadline:
            return
        match self._round:
            case _Preparing(ready=ready):
                late = ", ".join(str(worker.pid) for worker in self._workers if worker not in ready)
                self._abandon(f"not ready after {self._operation.prepare_seconds} s: worker {late}")
            case _Committing(waiting=waiting) as committing:
                for worker in tuple(waiting):
                    logger.error("worker %s does not change to the new configuration: killed", worker.pid)
                    worker.process.kill()
                    self._finish_if_all_have(committing, worker)

    def end(self) -> None:
        """Change nothing any more."""
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.notifier.stopping()
        if isinstance(self._round, _Preparing):
            self._abandon("the gateway is ending")
        for worker, number in (*self._answering, *self._asking):
            worker.tell(Verdict(number, refused("the gateway is ending")))

    def _take_in(self, worker: Worker) -> None:
        worker.serving = True
        if isinstance(self._round, _Preparing):
            worker.tell(Prepare(self._round.turn, self._round.config))
        serving = len(self._serving())
        if serving == self._count and not self.have_served:
            self.have_served = True
            if self._operation is not None:
                self._operation.notifier.ready(f"serving with {serving} workers")

    def _begin_if_idle(self) -> None:
        if not self._again or self._round is not None or self._operation is None:
            return
        self._again = False
        self._answering, self._asking = self._asking, []
        self._operation.notifier.reloading()
        try:
            config = self._operation.file.read_again()
        except SluicegateError as exc:
            self._finish(refused(str(exc)))
            return
        except Exception:
            logger.exception("the reload failed")
            self._finish(refused("the reload failed, and the log says how"))
            return
        self._turn += 1
        self._round = _Preparing(self._turn, config, self._deadline(self._operation))
        for worker in self._serving():
            worker.tell(Prepare(self._turn, config))

    def _commit_if_agreed(self, agreed: _Preparing) -> None:
        everyone = set(self._workers)
        # Those that are missing begin with what is in place then.
        if not everyone or not agreed.ready >= everyone or self._operation is None:
            return
        self.config = agreed.config
        self._round = _Committing(self._turn, agreed.config, self._deadline(self._operation), everyone)
        configure_log(agreed.config.gateway.log)
        for worker in self._workers:
            worker.tell(Commit(agreed.turn))

    def _finish_if_all_have(self, committing: _Committing, worker: Worker) -> None:
        committing.waiting.discard(worker)
        if not committing.waiting and self._operation is not None:
            self._finish(self._operation.accepted(committing.config))

    def _abandon(self, reason: str) -> None:
        for worker in self._serving():
            worker.tell(Abandon(self._turn))
        self._finish(refused(reason))

    def _serving(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.serving]

    def _deadline(self, operation: Operation) -> float:
        return time.monotonic() + operation.prepare_seconds

    def _finish(self, result: ReloadResult) -> None:
        self._round = None
        log_result(result)
        answering, self._answering = self._answering, []
        # One counts for all: who asked first, so that its answer comes after the number.
        for worker in [*(worker for worker, _ in answering), *self._serving()][:1]:
            worker.tell(Count(result.ok))
        for worker, number in answering:
            worker.tell(Verdict(number, result))
        if self._operation is not None:
            self._operation.notifier.ready(result.summary)
        self._begin_if_idle()
