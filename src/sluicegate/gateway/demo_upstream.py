"""A small service for the demo to relay: it sends as many bytes as its path asks for, or breaks on the way.

`/stream-bytes/SIZE` streams without telling a length. `/breaking/SIZE` is an object with ranges and a strong
entity tag, whose connection is reset every now and then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sluicegate.testing import (
    MIB,
    FaultyOrigin,
    Generated,
    HeldObject,
    OriginRequest,
    ResetBetween,
    Status,
    held_object,
)

MAX_BYTES: Final = 100_000_000
"""What is streamed at most: enough to see it flow."""

FIRST_RESET: Final = 1 * MIB
LAST_RESET: Final = 30 * MIB
"""Each answer of `/breaking/SIZE` is reset somewhere between the two, if it is as long."""

_PATH: Final = re.compile(r"(stream-bytes|breaking)/([0-9]{1,15})")


@contextmanager
def upstream() -> Iterator[str]:
    """The service on a free port of loopback, in a thread of its own; yields its base URL."""
    with FaultyOrigin() as origin:
        origin.on_missing(_made)
        origin.always(Status(400), when=_asks_too_much)
        origin.always(ResetBetween(FIRST_RESET, LAST_RESET, seed=1), when=_is_to_break)
        yield origin.url


def _made(path: str) -> HeldObject | None:
    """Pseudo-random bytes, the same for the same path."""
    asked = _PATH.fullmatch(path)
    if asked is None:
        return None
    name, size = asked[1], int(asked[2])
    breaking = name == "breaking"
    return held_object(f"{name}.bin", Generated(size), ranges=breaking, length=breaking)


def _asks_too_much(request: OriginRequest) -> bool:
    asked = _PATH.fullmatch(request.path)
    return asked is not None and asked[1] == "stream-bytes" and int(asked[2]) > MAX_BYTES


def _is_to_break(request: OriginRequest) -> bool:
    return request.path.startswith("breaking/")
