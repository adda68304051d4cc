"""Content of any size that takes no memory: the same pseudo-random bytes again and again, never aligned."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sluicegate.http.ranges import Span

TILE_BYTES: Final = 1024 * 1024 + 7
"""A length that no part size, chunk size or block size is a multiple of, nor divides: content that is put
together in the wrong order is other content."""

PIECE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Generated:
    """`size` bytes that look like noise and are the same for the same `seed`: a terabyte costs 2 MiB.

    Another seed is another content, so another version of an object. Raises `ValueError` for a negative size.
    """

    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"a size is at least 0 bytes, got {self.size!r}")

    def read(self, start: int = 0, stop: int | None = None) -> memoryview:
        """The bytes from `start` (included) to `stop` (excluded, the end by default), as slices give them.

        Up to 1 MiB are a view that costs nothing; more are put together.
        """
        first, last, _ = slice(start, stop).indices(self.size)
        length = max(0, last - first)
        if length <= TILE_BYTES:
            return _view(self.seed, first, length)
        return memoryview(b"".join(self.pieces(Span(first, last))))

    def pieces(self, span: Span | None = None, length: int = PIECE_BYTES) -> Iterator[memoryview]:
        """The bytes of `span` (all by default) in views of at most `length` bytes."""
        whole = Span(0, self.size) if span is None else span
        for start in range(whole.start, min(whole.stop, self.size), length):
            yield self.read(start, min(start + length, whole.stop))

    def sha256(self, span: Span | None = None) -> str:
        """The SHA-256 of `span` (all by default) in hexadecimal digits; about a second a gigabyte."""
        digest = hashlib.sha256()
        for piece in self.pieces(span):
            digest.update(piece)
        return digest.hexdigest()


def _view(seed: int, start: int, length: int) -> memoryview:
    offset = start % TILE_BYTES
    return _two_tiles(seed)[offset : offset + length]


@lru_cache(maxsize=16)
def _two_tiles(seed: int) -> memoryview:
    # Two of them, so that a view of up to one tile's length never has to be put together.
    return memoryview(random.Random(seed).randbytes(TILE_BYTES) * 2)  # noqa: S311 - not a secret
