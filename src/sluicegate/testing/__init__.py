"""For tests of what is built on sources, and of sources themselves: no mocks, no network.

`ScriptedSource` and `ScriptedBody` do what they are told, `memory_source` is a real store in memory, and
`SourceContract` holds a source of your own against the contract. Only the last one needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.testing.memory import memory_source
from sluicegate.testing.scripted import Asked, ScriptedSource
from sluicegate.testing.scripted_body import STALL, ScriptedBody

if TYPE_CHECKING:
    from sluicegate.testing.contract import SourceContract, Subject

__all__ = [
    "STALL",
    "Asked",
    "ScriptedBody",
    "ScriptedSource",
    "SourceContract",
    "Subject",
    "memory_source",
]


def __getattr__(name: str) -> object:
    if name not in ("SourceContract", "Subject"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not at the top: pytest is no dependency. It rewrites assertions, for messages with values in them,
    # only of modules that it is told of before they are imported.
    import pytest  # noqa: PLC0415

    pytest.register_assert_rewrite("sluicegate.testing.contract")
    from sluicegate.testing import contract  # noqa: PLC0415

    return getattr(contract, name)
