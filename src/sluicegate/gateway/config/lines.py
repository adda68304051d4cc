"""Where each key of a TOML text stands: a light scan for line numbers, beside the parser that has none.

The text has been parsed already, so that it may be taken as valid. What is inside inline tables and
multi-line arrays counts as standing where its key stands.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

Location = tuple[str | int, ...]

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|\n"
    r"|[A-Za-z0-9_-]+"
    r"|[ \t\r]+"
    r"|.",
    re.DOTALL,
)
_OPENING, _CLOSING, _LINE_END = frozenset("[{"), frozenset("]}"), frozenset("\n")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A table header or a `key = value`, without blanks and comments."""

    line: int
    tokens: tuple[str, ...]


class KeyLines:
    """The lines of the keys and tables of one TOML text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Location, int] = {}
        self._counts: dict[Location, int] = {}
        table: Location = ()
        for statement in _statements(text):
            if statement.tokens[0] == "[":
                table = self._header(statement)
            else:
                self._note((*table, *_key(statement.tokens)), statement.line)

    def line_of(self, location: Location) -> int | None:
        """Return the line, counted from 1, of a key, or of the nearest table around it; None for no place."""
        for end in range(len(location), 0, -1):
            if location[:end] in self._lines:
                return self._lines[location[:end]]
        return None

    def _header(self, statement: _Statement) -> Location:
        is_array = statement.tokens[:2] == ("[", "[")
        table = self._inside_arrays(_key(statement.tokens))
        if is_array:
            index = self._counts.get(table, -1) + 1
            self._counts[table] = index
            self._note(table, statement.line)
            table = (*table, index)
        self._note(table, statement.line)
        return table

    def _inside_arrays(self, key: tuple[str, ...]) -> Location:
        """Put the index of the last element after each part but the last that names an array of tables."""
        location: Location = ()
        for part in key[:-1]:
            location = (*location, part)
            if location in self._counts:
                location = (*location, self._counts[location])
        return (*location, *key[-1:])

    def _note(self, location: Location, line: int) -> None:
        for end in range(1, len(location) + 1):
            self._lines.setdefault(location[:end], line)


def _statements(text: str) -> Iterator[_Statement]:
    line, depth, start = 1, 0, 1
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        depth += (token in _OPENING) - (token in _CLOSING)
        if token in _LINE_END and depth == 0 and tokens:
            yield _Statement(start, tuple(tokens))
            tokens = []
        elif token.strip() and not token.startswith("#"):
            start = start if tokens else line
            tokens.append(token)
        line += token.count("\n")
    if tokens:
        yield _Statement(start, tuple(tokens))


def _key(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parts of the dotted key that a statement starts with."""
    end = tokens.index("=") if tokens[0] != "[" else len(tokens)
    return tuple(_plain(token) for token in tokens[:end] if token not in {".", "[", "]"})


def _plain(token: str) -> str:
    if token[0] not in "\"'":
        return token
    return str(tomllib.loads(f"key = {token}")["key"])
