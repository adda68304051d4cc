"""How bodies are fetched: sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sluicegate.sources.options import BadOptions

MIB: Final = 1024 * 1024

MIN_PART: Final = 64 * 1024
"""Smaller parts cost more in requests than they bring."""

_DAY: Final = 86400.0


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
        if self.part_size < MIN_PART:
            raise BadOptions(f"part_size is in bytes, at least {MIN_PART}, got {self.part_size!r}")
        if self.read_ahead < 0:
            raise BadOptions(f"read_ahead is in bytes, at least 0, got {self.read_ahead!r}")
        for name, seconds in (("park_after", self.park_after), ("give_up_after", self.give_up_after)):
            if seconds is not None and not 0 < seconds < _DAY:
                raise BadOptions(f"{name} is in seconds, above 0 and below a day, got {seconds!r}")


DEFAULT_TRANSFERS: Final = TransferOptions()
