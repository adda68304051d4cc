"""When a source is open: whoever uses it otherwise hears of it, and breaks nothing for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Lifetime:
    """The time from a source's being entered to its being left. `name` is what messages call the source."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def entering(self) -> Iterator[None]:
        """Begin, unless the block fails. Raises `RuntimeError` where the source has been entered already."""
        # Who entered it in a loop that is closed is gone, and cannot leave it any more.
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                f"the source {self._name} is already open: enter a source once, in the application's lifespan"
            )
        self._loop = asyncio.get_running_loop()
        try:
            yield
        except BaseException:
            self._loop = None
            raise

    def leave(self) -> None:
        """End."""
        self._loop = None

    def check_loop(self) -> None:
        """Raise `RuntimeError` in any event loop but the one that the source's connections belong to."""
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError(
                f"the source {self._name} was opened in another event loop: enter it in the one that uses it"
            )

    def closed(self) -> RuntimeError:
        """The error for whoever uses a source that is not open."""
        return RuntimeError(f"the source {self._name} is not open: enter it in the application's lifespan")
