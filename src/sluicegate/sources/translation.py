"""From a client library's exceptions to ours, by a table: what every source does at its seam."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate.errors import BadAnswer, BrokenBody, OriginTimeout, SourceError


def by_table(
    table: Iterable[tuple[type[BaseException], type[SourceError]]],
    exc: BaseException,
    what: str,
) -> SourceError:
    """Our error for `exc`: that of the first row that fits, `BadAnswer` if none does.

    `what` says what was asked for. Of the exception only its name is told: its text may hold secrets.
    """
    ours = next((ours for theirs, ours in table if isinstance(exc, theirs)), BadAnswer)
    return ours(f"{what}: {type(exc).__name__}")


def as_break(failure: SourceError) -> SourceError:
    """What a failure is in the middle of a body: a timeout stays one, all else is a break."""
    return failure if isinstance(failure, OriginTimeout) else BrokenBody(str(failure))
