"""How bodies are fetched: sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sluicegate.sources.options import check_count, check_seconds

MIB: Final = 1024 * 1024

MIN_PART: Final = 64 * 1024
"""Smaller parts cost more in requests than they bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """How the body of an object is fetched from its origin.

    - `part_size`: bytes of a part. Parts begin at multiples of it, and an object that is no longer costs
      one request.
    - `read_ahead`: bytes that one transfer may hold of the parts behind the one that is being sent, when the
      client takes more than one connection to the origin gives; 0 for no read-ahead.
    - `park_after`: seconds without the client taking anything after which the connection to the origin is
      given back; `None` for never.
    - `give_up_after`: seconds without a single byte from the origin, over all attempts, after which the
      transfer has failed. Nothing limits the whole of a transfer.

    Raises `BadOptions` for what cannot be used.
    """

    part_size: int = 8 * MIB
    read_ahead: int = 96 * MIB
    park_after: float | None = 2.0
    give_up_after: float = 180.0

    def __post_init__(self) -> None:
        check_count("part_size", self.part_size, MIN_PART, "bytes")
        check_count("read_ahead", self.read_ahead, 0, "bytes")
        if self.park_after is not None:
            check_seconds("park_after", self.park_after)
        check_seconds("give_up_after", self.give_up_after)


DEFAULT_TRANSFERS: Final = TransferOptions()
