"""For tests of what is built on sources, of sources themselves, and of whatever streams over HTTP: no mocks.

`ScriptedSource` and `ScriptedBody` do what they are told, `memory_source` is a real store in memory, and
`SourceContract` holds a source of your own against the contract. `FaultyOrigin` is an origin on a real socket
that breaks as it is told to, `SlowClient` a client that reads as slowly as it is told to, and
`assert_no_leak` finds what a test leaves behind. docs/testing.md shows them all.

Only `SourceContract` and the fixtures need pytest, and only TLS needs trustme.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sluicegate.testing.contract import SourceContract, Subject
    from sluicegate.testing.faults import (
        MIB,
        OK,
        Bandwidth,
        Close,
        Fault,
        Garbage,
        HalfOpen,
        HangUp,
        IgnoreConditions,
        IgnoreRange,
        Latency,
        NewETags,
        NoAnswer,
        NoETag,
        NoLastModified,
        NoLength,
        Overrun,
        Overstate,
        Replaced,
        Reset,
        ResetBetween,
        Shorten,
        Stall,
        Status,
        Trickle,
        Understate,
        WeakETags,
        WrongSize,
        WrongSpan,
    )
    from sluicegate.testing.framing import ClientAnswer, ClientHead
    from sluicegate.testing.generated import Generated
    from sluicegate.testing.held import Described, HeldObject, held_object
    from sluicegate.testing.leaks import assert_no_leak
    from sluicegate.testing.memory import memory_source
    from sluicegate.testing.origin import FaultyOrigin
    from sluicegate.testing.origin_requests import OriginRequest
    from sluicegate.testing.scripted import Asked, ScriptedSource
    from sluicegate.testing.scripted_body import STALL, ScriptedBody
    from sluicegate.testing.seen import Connected, Seen
    from sluicegate.testing.slow_client import SlowClient

__all__ = [
    "MIB",
    "OK",
    "STALL",
    "Asked",
    "Bandwidth",
    "ClientAnswer",
    "ClientHead",
    "Close",
    "Connected",
    "Described",
    "Fault",
    "FaultyOrigin",
    "Garbage",
    "Generated",
    "HalfOpen",
    "HangUp",
    "HeldObject",
    "IgnoreConditions",
    "IgnoreRange",
    "Latency",
    "NewETags",
    "NoAnswer",
    "NoETag",
    "NoLastModified",
    "NoLength",
    "OriginRequest",
    "Overrun",
    "Overstate",
    "Replaced",
    "Reset",
    "ResetBetween",
    "ScriptedBody",
    "ScriptedSource",
    "Seen",
    "Shorten",
    "SlowClient",
    "SourceContract",
    "Stall",
    "Status",
    "Subject",
    "Trickle",
    "Understate",
    "WeakETags",
    "WrongSize",
    "WrongSpan",
    "assert_no_leak",
    "held_object",
    "memory_source",
]

_HOMES: Final = {
    "contract": ("SourceContract", "Subject"),
    "framing": ("ClientAnswer", "ClientHead"),
    "generated": ("Generated",),
    "held": ("Described", "HeldObject", "held_object"),
    "leaks": ("assert_no_leak",),
    "memory": ("memory_source",),
    "origin": ("FaultyOrigin",),
    "origin_requests": ("OriginRequest",),
    "scripted": ("Asked", "ScriptedSource"),
    "scripted_body": ("STALL", "ScriptedBody"),
    "seen": ("Connected", "Seen"),
    "slow_client": ("SlowClient",),
}
"""Which module each name is from, if it is not `faults`: a module is imported when a name of it is needed."""

_HOME: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME.get(name, "faults")
    if home == "contract":
        # It rewrites assertions, for messages with values in them, only of modules that it is told of before
        # they are imported.
        import pytest  # noqa: PLC0415 - pytest is no dependency

        pytest.register_assert_rewrite("sluicegate.testing.contract")
    return getattr(import_module(f"sluicegate.testing.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
