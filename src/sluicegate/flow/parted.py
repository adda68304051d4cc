"""A source whose bodies come in parts, around any other source."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from itertools import count
from random import random
from types import TracebackType
from typing import Final, Self

from sluicegate.errors import SourceError
from sluicegate.flow.answers import is_pinnable
from sluicegate.flow.budget import PROCESS_BUDGET, Budget
from sluicegate.flow.counted import CountedBody
from sluicegate.flow.memory import MemoryReturn
from sluicegate.flow.options import DEFAULT_TRANSFERS, TransferOptions
from sluicegate.flow.part import Transfer
from sluicegate.flow.parts import PartsBody
from sluicegate.flow.patience import Progress, opening_wait_seconds, wait_seconds
from sluicegate.flow.pinned import PinnedObject
from sluicegate.flow.small import SmallBody
from sluicegate.http.ranges import Span
from sluicegate.sources.base import SMALL, Found, OpenOutcome, OpenRequest, Source
from sluicegate.sources.local_file import FileBody
from sluicegate.sources.options import check_kind

ATTEMPTS: Final = 3
"""How often a request is made in all that fails before its answer."""


class PartedSource(AbstractAsyncContextManager["PartedSource"]):
    """`source`, with bodies that survive their connections, and requests that are made again.

    Bodies of objects that cannot be pinned to a version (no strong ETag, and no Last-Modified that is old
    enough), of unknown size, or from origins without ranges are those of `source`: where they break, they
    break. `attempts` counts for requests that have had no answer yet; after it, `transfers.give_up_after`.
    """

    def __init__(
        self,
        source: Source,
        transfers: TransferOptions = DEFAULT_TRANSFERS,
        *,
        budget: Budget = PROCESS_BUDGET,
        attempts: int = ATTEMPTS,
        memory: MemoryReturn | None = None,
    ) -> None:
        check_kind("transfers", transfers, TransferOptions)
        check_kind("budget", budget, Budget)
        self.source = source
        self._transfers = transfers
        self._budget = budget
        self._attempts = attempts
        self._memory = memory or MemoryReturn()

    async def __aenter__(self) -> Self:
        """Enter the source."""
        await self.source.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the source."""
        await self.source.__aexit__(exc_type, exc, traceback)

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the source for `key`, again where that can help."""
        outcome = await self._ask(key, request)
        if not isinstance(outcome, Found) or request.head:
            return outcome
        # Of a file there is nothing to ask for again, and nothing that a second connection could bring.
        span = None if isinstance(outcome.body, FileBody) else _span_in_parts(outcome)
        if span is None:
            request.tally.parts += 1
            return Found(outcome.metadata, outcome.span, CountedBody(outcome.body, request.tally))
        version = PinnedObject(self.source, key, outcome.metadata, request.fields, request.tally)
        now = asyncio.get_running_loop().time()
        transfer = Transfer(
            version,
            self._transfers,
            self._attempts,
            Progress(now, now),
            self._budget,
            self._memory,
            request.begun,
        )
        is_small = span.length <= min(SMALL, self._transfers.part_size)
        body = (SmallBody if is_small else PartsBody)(transfer, span, outcome.body)
        return Found(outcome.metadata, outcome.span, body)

    async def _ask(self, key: str, request: OpenRequest) -> OpenOutcome:
        time = asyncio.get_running_loop().time
        began = time()
        for failures in count(1):
            request.tally.requests += 1
            try:
                return await self.source.open(key, request)
            except SourceError as error:
                wait = self._wait_seconds(error, failures, time() - began, request)
                if wait is None:
                    raise
            request.tally.retried(time())
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    def _wait_seconds(
        self, error: SourceError, failures: int, elapsed: float, request: OpenRequest
    ) -> float | None:
        """How long to wait before asking again, `elapsed` seconds after the first time; `None` for never."""
        chance = random()  # noqa: S311 - jitter, not a secret
        if not request.begun:
            return opening_wait_seconds(error, failures, self._attempts, elapsed, chance)
        wait = wait_seconds(error, failures, chance)
        return None if wait is None or elapsed + wait > self._transfers.give_up_after else wait


def _span_in_parts(found: Found) -> Span | None:
    """The bytes that `found` serves, if any of them can be asked for again."""
    metadata = found.metadata
    if metadata.size is None or not metadata.ranges or not is_pinnable(metadata):
        return None
    span = Span(0, metadata.size) if found.span is None else found.span
    return span if span.length else None
