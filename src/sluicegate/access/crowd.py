"""How many at once: counts of what is going on now, by whom, in one process. Nothing here waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Crowd:
    """At most `most` at once of each key: of a client address, a route, or one key for all.

    Only keys that are in it are stored, so it is never larger than `total`. Raises `ValueError` for a `most`
    below 1.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"the most at once is at least 1, got {most!r}")
        self.most = most
        self.total = 0
        self._inside: dict[str, int] = {}

    def __len__(self) -> int:
        """How many keys are in it."""
        return len(self._inside)

    def inside(self, key: str) -> int:
        """How many of `key` are in it."""
        return self._inside.get(key, 0)

    def enter(self, key: str) -> bool:
        """Count one more of `key`, if there is room; each that entered leaves, once."""
        inside = self.inside(key)
        if inside >= self.most:
            return False
        self._inside[key] = inside + 1
        self.total += 1
        return True

    def leave(self, key: str) -> None:
        """Count one of `key` less. Raises `LookupError` if there is none."""
        inside = self.inside(key)
        if inside == 0:
            raise LookupError(f"{key!r} leaves, and never entered")
        if inside == 1:
            del self._inside[key]
        else:
            self._inside[key] = inside - 1
        self.total -= 1

    @contextmanager
    def place(self, key: str) -> Iterator[bool]:
        """A place for one of `key` until the block ends; the block learns whether there was one."""
        is_inside = self.enter(key)
        try:
            yield is_inside
        finally:
            if is_inside:
                self.leave(key)
