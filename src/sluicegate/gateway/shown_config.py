"""A configuration as it may be shown to an operator: everything but secrets.

What is secret is known by its field: one that is kept out of `repr` is kept out of this too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any, Final

from .targets import without_secrets

HIDDEN: Final = "***"

_AS_TEXT: Final = (PurePath, date, timedelta, IPv4Address, IPv4Network, IPv6Address, IPv6Network)


def hidden(config: object) -> dict[str, object]:
    """A frozen dataclass, and all in it, as JSON has it; raises `TypeError` for what is none.

    A field with `repr=False` is `"***"`, unless it is empty: that nothing was set is no secret. URLs lose
    their user information and query. What was read from a text is shown as that text, and what is of no type
    that configurations are made of by the name of its type.
    """
    if not is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"a configuration is an instance of a dataclass, got {type(config).__name__}")
    return {one.name: _field(getattr(config, one.name), one.repr) for one in fields(config)}


def _field(value: object, may_be_shown: bool) -> object:
    # False and 0 are values as others are.
    is_empty = value is None or value in ("", b"", (), frozenset()) or value == {}
    return _shown(value) if may_be_shown or is_empty else HIDDEN


def _shown(value: object) -> Any:
    """A value of a configuration, as JSON has it."""
    match value:
        case Enum():
            return _shown(value.value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return without_secrets(value) if "://" in value else value
        case Mapping():
            return {str(_shown(key)): _shown(one) for key, one in value.items()}
        case list() | tuple():
            return [_shown(one) for one in value]
        case set() | frozenset():
            return sorted((_shown(one) for one in value), key=str)
        case _ if isinstance(value, _AS_TEXT):
            return str(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            shape = hidden(value)
            return shape["text"] if isinstance(shape.get("text"), str) else shape
        case _:
            return f"<{type(value).__name__}>"
