"""`sluicegate doctor`: connects to what a configuration names, and says what it found and what to do.

Judgements are pure functions of what was answered (`transport`, `credentials`, `answers`, `speed`); asking is
apart from them, each request within its time. Nothing is written anywhere, and no secret is shown.
"""

from .aims import Aims, BadAim, read_aims
from .examination import Place, places
from .findings import Finding, Level, Section, has_problem
from .output import Shown, secrets_of

__all__ = [
    "Aims",
    "BadAim",
    "Finding",
    "Level",
    "Place",
    "Section",
    "Shown",
    "has_problem",
    "places",
    "read_aims",
    "secrets_of",
]
