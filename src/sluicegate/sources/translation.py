"""From a client library's exceptions to ours, by a table: what every source does at its seam."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ssl import SSLError

from sluicegate.errors import BadAnswer, BrokenBody, OriginTimeout, SourceError


def by_table(
    table: Iterable[tuple[type[BaseException], type[SourceError]]],
    exc: BaseException,
    what: str,
) -> SourceError:
    """Our error for `exc`: that of the first row that fits, `BadAnswer` if none does.

    `what` says what was asked for. Of the exception only its name is told, for its text may hold secrets; and
    what the system calls it, if it comes from there.
    """
    ours = next((ours for theirs, ours in table if isinstance(exc, theirs)), BadAnswer)
    return ours(f"{what}: {name_of(exc)}")


def name_of(exc: BaseException) -> str:
    """The name of an exception: `OSError EMFILE` where the system has refused something."""
    name = type(exc).__name__
    # The numbers of TLS are its own.
    if not isinstance(exc, OSError) or isinstance(exc, SSLError) or exc.errno is None:
        return name
    return f"{name} {errno.errorcode.get(exc.errno, '')}".rstrip()


def as_break(failure: SourceError) -> SourceError:
    """What a failure is in the middle of a body: a timeout stays one, all else is a break."""
    return failure if isinstance(failure, OriginTimeout) else BrokenBody(str(failure))
