"""What obstore tells of a failure in its text alone: most of its errors are of one class.

Pure text. It knows how obstore prints errors, and must be looked at with every new version of it.
"""

from __future__ import annotations

import re
from typing import Final

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    Denied,
    InvalidKey,
    NotFound,
    OriginTimeout,
    SourceError,
    Unavailable,
)
from sluicegate.http.exchange import Unsatisfiable
from sluicegate.sources.headers import error_for_status

MAX_REASON: Final = 300
"""Characters of obstore's own words in a message."""

UNSATISFIABLE: Final = Unsatisfiable(None)

_RANGE_NOT_SATISFIABLE: Final = 416

# obstore tells the cause of an error in a debug text behind this line. Strings in it are escaped, and
# addresses percent-encoded, so a whole line that looks like one of these is one: no key can fake it.
_DEBUG_MARK: Final = "\nDebug source:\n"
_STATUS = re.compile(r"^\s+status: ([0-9]{3}),$", re.MULTILINE)
_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_NOT_PARTIAL = re.compile(r"^\s+source: NotPartial,$", re.MULTILINE)
_REQUEST = re.compile(r"Error performing [A-Z]+ \S+ in \S+ - ")
_DETAIL = re.compile(
    r'^\s+(?:message|error): "([^"\\]{1,200})",$|^\s+error: InvalidCertificate\(\s+(\w+)', re.MULTILINE
)

_CAUSES: Final[tuple[tuple[re.Pattern[str], type[SourceError] | Unsatisfiable], ...]] = (
    # The first row that fits wins.
    (re.compile(r"^\s+source: (?:StartTooLarge|Range) \{$", re.MULTILINE), UNSATISFIABLE),
    (re.compile(r"^\s+(?:source: InvalidRange|kind: InvalidRange)", re.MULTILINE), UNSATISFIABLE),
    # How MinIO describes the last bytes of an empty object.
    (re.compile(r'^\s+value: "bytes 0--1/0",$', re.MULTILINE), UNSATISFIABLE),
    (re.compile(r"^\s+source: InvalidPath \{$", re.MULTILINE), InvalidKey),
    (re.compile(r"^\s+kind: (?:NotADirectory|InvalidFilename|NotFound),$", re.MULTILINE), NotFound),
    (re.compile(r"^\s+kind: PermissionDenied,$", re.MULTILINE), Denied),
    (re.compile(r"^\s+(?:(?:kind|source): )?(?:TimedOut|Timeout),$", re.MULTILINE), OriginTimeout),
    (
        re.compile(
            r"^\s+(?:Parse\($|source: (?:UnexpectedRange|Header|NoContentRange|ParseContentRange)\b)",
            re.MULTILINE,
        ),
        BadAnswer,
    ),
    (re.compile(r"^\s+kind: (?:Connect|Request|Interrupted|Unknown),$", re.MULTILINE), Unavailable),
    (re.compile(r"^\s+kind: (?:Decode|Body),$", re.MULTILINE), BrokenBody),
)


def status_in(text: str, what: str) -> SourceError | Unsatisfiable | None:
    """What the status that the store answered stands for; `None` if the text tells none."""
    debug = _debug(text)
    matched = _STATUS.search(debug)
    if matched is None:
        return None
    status, code = int(matched[1]), _CODE.search(debug)
    if status == _RANGE_NOT_SATISFIABLE:
        return UNSATISFIABLE
    return error_for_status(status, f"{what}: {status} {code[1] if code else ''}".rstrip(), {})


def cause_in(text: str, what: str) -> SourceError | Unsatisfiable:
    """What the cause of a failure without a status stands for: `BadAnswer` if it is not known."""
    debug = _debug(text)
    for pattern, ours in _CAUSES:
        if found := pattern.search(debug):
            return ours if isinstance(ours, Unsatisfiable) else ours(f"{what}: {_reason(text, found[0])}")
    return BadAnswer(f"{what}: {_reason(text, '')}")


def is_not_partial(text: str) -> bool:
    """Whether the store answered a range with the whole object, of which obstore keeps nothing."""
    return _NOT_PARTIAL.search(_debug(text)) is not None


def first_line(text: str) -> str:
    """The beginning of a text, for a message."""
    return text.partition("\n")[0][:MAX_REASON]


def _debug(text: str) -> str:
    _, mark, debug = text.rpartition(_DEBUG_MARK)
    return debug if mark else ""


def _reason(text: str, found: str) -> str:
    """The first line without the address, and the cause, or else the line in which it was `found`."""
    said = _REQUEST.sub("", first_line(text))
    detail = _DETAIL.search(_debug(text))
    cause = (detail[1] or detail[2]) if detail else found.strip(" ,({\n")
    return f"{said} ({cause})" if cause else said
