"""What the doctor found: a fact, how much it matters, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters: a problem breaks something, a warning may, a note is good to know."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact: `what` was found, and the `advice` if there is anything to do. Neither holds a secret."""

    level: Level
    what: str
    advice: str | None = None


Findings = tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """All that was found of one store or one upstream."""

    title: str
    findings: Findings


def ok(what: str) -> Finding:
    """A thing that is as it should be."""
    return Finding(Level.OK, what)


def note(what: str, advice: str | None = None) -> Finding:
    """A thing that is good to know, and costs no more than the text says."""
    return Finding(Level.NOTE, what, advice)


def warning(what: str, advice: str) -> Finding:
    """A thing that works, and may fail or cost much."""
    return Finding(Level.WARNING, what, advice)


def problem(what: str, advice: str) -> Finding:
    """A thing that breaks."""
    return Finding(Level.PROBLEM, what, advice)


def has_problem(sections: Iterable[Section]) -> bool:
    """Whether anything is broken."""
    return any(finding.level is Level.PROBLEM for section in sections for finding in section.findings)
