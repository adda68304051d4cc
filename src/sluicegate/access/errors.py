"""What can go wrong before any client is judged."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.errors import SluicegateError


class BadCredentials(SluicegateError, ValueError):
    """What the operator configured cannot be used; the message says where it stands, never what it holds."""


def check_mapping(name: str, value: object, example: str) -> None:
    """Raise `TypeError` unless the argument `name` is a mapping, such as `example` is."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is a mapping, such as {example}, got {type(value).__name__}")
