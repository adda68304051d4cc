"""Mistakes in a configuration: what each one says, and how all are collected for one error.

No message may show a secret: values pass through `shown`.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from sluicegate.errors import SluicegateError

from ..targets import without_secrets
from .lines import KeyLines, Location

SECRET_KEYS = frozenset(
    {
        *("access_key_id", "secret_access_key", "session_token", "account_key", "sas_token"),
        *("request_headers", "keys", "users", "storage"),
    }
)
_URL_KEYS = frozenset({"url", "endpoint_url", "upstream", "jwks_url", "issuer"})
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend: where it is, what was found there, and what is expected instead.

    Where `allowed` is empty, what was found says all of it.
    `line` and `column` count from 1 and are None where unknown; `key` is dotted, with arrays counted from 0
    as in `routes[2].path`, and empty for the file as a whole.
    """

    line: int | None
    key: str
    found: str
    allowed: str
    column: int | None = None

    def __str__(self) -> str:
        """Return the mistake without its place in the file."""
        said = f"found {self.found}; expected {self.allowed}" if self.allowed else self.found
        return f"{self.key}: {said}".removeprefix(": ")


class ConfigError(SluicegateError):
    """A configuration that cannot be used; `mistakes` holds every one that was found, by line."""

    def __init__(self, name: str, mistakes: Iterable[Mistake]) -> None:
        self.name = name
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line or 0))
        super().__init__("\n".join(f"{_place(name, mistake)}: {mistake}" for mistake in self.mistakes))


@dataclass(slots=True)
class Report:
    """Collects mistakes by the location of their key, and finds their lines."""

    lines: KeyLines
    mistakes: list[Mistake] = field(default_factory=list)
    _locations: set[Location] = field(default_factory=set)

    def add(self, location: Location, found: str, allowed: str) -> None:
        """Note a mistake; `found` is text that may be shown (see `shown`)."""
        self._locations.add(location)
        self.mistakes.append(Mistake(self.lines.line_of(location), dotted(location), found, allowed))

    def add_reason(self, location: Location, reason: str) -> None:
        """Note what is wrong as somebody else has found it, in words that may be shown."""
        self.add(location, reason, "")

    def add_value(self, location: Location, value: object, allowed: str) -> None:
        """Note that the value at a location is not allowed."""
        self.add(location, shown(location, value), allowed)

    def has(self, location: Location) -> bool:
        """Tell whether a mistake was noted at this location."""
        return location in self._locations


def shown(location: Location, value: object) -> str:
    """Return a value as a message may show it: masked where it is a secret or may hold one."""
    if SECRET_KEYS.intersection(location):
        return "a value that is not shown"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:
        return "an integer beyond 64 bits"
    if not isinstance(value, str):
        return str(value)
    text = without_secrets(value) if _URL_KEYS.intersection(location) else value
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")


def dotted(location: Location) -> str:
    """Write a location as `stores.images.url` or `routes[2].path`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part if _BARE_KEY.fullmatch(part) else repr(part)}"
    return text.removeprefix(".")


def one_of(names: Iterable[str], meant: str = "") -> str:
    """List what is allowed, and what was probably meant: `one of: region, url (did you mean 'url'?)`."""
    allowed = sorted(names)
    close = difflib.get_close_matches(meant, allowed, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"one of: {', '.join(allowed)}{hint}"


def _place(name: str, mistake: Mistake) -> str:
    return ":".join(str(part) for part in (name, mistake.line, mistake.column) if part is not None)
