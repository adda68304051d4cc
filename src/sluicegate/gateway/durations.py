"""Times as people write them: `90s`, `15m`, `12h`, `7d`, or a number of seconds."""

from __future__ import annotations

import re
from typing import Final

import click

DURATION: Final = "90s, 15m, 12h, 7d, 2y or seconds"

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_WRITTEN: Final = re.compile(r"([0-9]{1,12})([smhdwy]?)")


def seconds_of(text: str) -> int:
    """The seconds that a text says; raises `click.BadParameter`."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f"found {text!r}; expected {DURATION}")
    return int(found[1]) * _UNITS[found[2]]
