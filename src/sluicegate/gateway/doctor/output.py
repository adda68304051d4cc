"""The findings as text or as JSON. Pure, and the last thing between a secret and a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final
from urllib.parse import unquote, urlsplit

from ..config import Config, UpstreamConfig
from .findings import Finding, Level, Section

MASK: Final = "***"

LEAST_SECRET: Final = 6
"""Characters of a secret that is masked: shorter ones are words that findings are made of."""

_UTF8: Final[Mapping[Level, str]] = {
    Level.OK: "✓",
    Level.NOTE: "-",
    Level.WARNING: "!",
    Level.PROBLEM: "✗",
}
_ASCII: Final[Mapping[Level, str]] = {**_UTF8, Level.OK: "+", Level.PROBLEM: "x"}


@dataclass(frozen=True, slots=True)
class Shown:
    """How findings are shown: in which characters, and without which `secrets`."""

    unicode: bool
    secrets: tuple[str, ...] = ()

    def section(self, section: Section) -> str:
        """A section as lines, with one at its end that is empty."""
        lines = chain.from_iterable(map(self._lines, section.findings))
        return "\n".join([self._plain(section.title), *lines, ""])

    def total(self, sections: Sequence[Section]) -> str:
        """One line of what is to be done."""
        counted = [(_count(sections, level), level.value) for level in (Level.PROBLEM, Level.WARNING)]
        return ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for number, name in counted)

    def document(self, sections: Sequence[Section]) -> str:
        """All of it as JSON."""
        members = {
            "problems": _count(sections, Level.PROBLEM),
            "warnings": _count(sections, Level.WARNING),
            "sections": [self._members(section) for section in sections],
        }
        return json.dumps(members, indent=2)

    def _members(self, section: Section) -> dict[str, object]:
        findings = [
            {
                "level": finding.level.value,
                "what": self._masked(finding.what),
                "advice": None if finding.advice is None else self._masked(finding.advice),
            }
            for finding in section.findings
        ]
        return {"title": self._masked(section.title), "findings": findings}

    def _lines(self, finding: Finding) -> Iterable[str]:
        mark = (_UTF8 if self.unicode else _ASCII)[finding.level]
        yield f"  {mark} {self._plain(finding.what)}"
        if finding.advice is not None:
            yield f"      {'→' if self.unicode else '->'} {self._plain(finding.advice)}"

    def _plain(self, text: str) -> str:
        """A text that cannot move a terminal's cursor, in the characters that it knows."""
        printable = "".join(char if char.isprintable() else "?" for char in self._masked(text))
        return printable if self.unicode else printable.encode("ascii", "backslashreplace").decode()

    def _masked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text


def secrets_of(config: Config) -> tuple[str, ...]:
    """Everything in a configuration that nobody may read, the longest first."""
    found: set[str] = set()
    for store in config.stores.values():
        given = (store.secret_access_key, store.session_token, store.account_key, store.sas_token)
        found.update(value for value in given if value)
    for route in config.routes:
        if isinstance(route.target, UpstreamConfig):
            found.update(value for _, value in route.target.request_headers)
            found.add(route.target.template.query.removeprefix("?"))
    found.add(urlsplit(config.limits.storage).password or "")
    decoded = {unquote(value) for value in found}
    return tuple(sorted((v for v in found | decoded if len(v) >= LEAST_SECRET), key=len, reverse=True))


def _count(sections: Iterable[Section], level: Level) -> int:
    return sum(finding.level is level for section in sections for finding in section.findings)
