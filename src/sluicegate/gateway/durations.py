"""Times as people write them: `90s`, `15m`, `12h`, `7d`, or a number of seconds."""

from __future__ import annotations

import re
from typing import Final

import click

DURATION: Final = "90s, 15m, 12h, 7d, 2y or seconds"

LONGEST_YEARS: Final = 100
"""More is a typing error."""

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_WRITTEN: Final = re.compile(r"([0-9]{1,12})([smhdwy]?)")


def read_duration(text: str | None, least: int = 0) -> int | None:
    """The seconds that an option says, from `least` on, if it is given; raises `click.BadParameter`."""
    if text is None:
        return None
    seconds = seconds_of(text)
    if seconds is None:
        raise click.BadParameter(f"found {text!r}; expected {DURATION}")
    if not least <= seconds <= LONGEST_YEARS * _UNITS["y"]:
        raise click.BadParameter(f"found {text!r}; expected {least} to {LONGEST_YEARS}y")
    return seconds


def seconds_of(text: str) -> int | None:
    """The seconds that a text says; `None` if it says none."""
    found = _WRITTEN.fullmatch(text.strip())
    return None if found is None else int(found[1]) * _UNITS[found[2]]
