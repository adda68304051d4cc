"""Work that several may wait for: the same question, asked at the same time, is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class FlightEnded(Exception):
    """The flights were closed while somebody waited for one."""


@dataclass(slots=True)
class _Flight(Generic[V]):
    task: asyncio.Task[V]
    waiters: int = 0


class Flights(Generic[K, V]):
    """Tasks by key, each shared by all who join while it runs.

    One who is cancelled leaves; with the last one the task is cancelled. `aclose` ends them all.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}
        # Those with nobody in them end by themselves, and are held until they have.
        self._ending: set[asyncio.Task[V]] = set()

    async def join(self, key: K, begin: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the flight of `key`, begun if there is none; raises `FlightEnded` if it is closed."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(begin()))
        flight.waiters += 1
        try:
            # Unlike awaiting the task itself, this does not cancel it for others.
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            self._leave(key, flight)
        if flight.task.cancelled():
            raise FlightEnded
        return flight.task.result()

    async def aclose(self) -> None:
        """Cancel what is in flight, and wait until it has ended."""
        flying = {flight.task for flight in self._flights.values()}
        for task in flying:
            task.cancel()
        # Those that end already were cancelled once, and clean up.
        if tasks := flying | self._ending:
            await asyncio.wait(tasks)

    def _leave(self, key: K, flight: _Flight[V]) -> None:
        if not flight.task.done():
            if flight.waiters:
                return
            flight.task.cancel()
            self._ending.add(flight.task)
            flight.task.add_done_callback(self._ending.discard)
        # Who asks from now on begins another one.
        if self._flights.get(key) is flight:
            del self._flights[key]
