"""A line of the log for each transfer. There are many, so they are written in few steps.

Values are escaped, so that nothing a client sends can begin another line.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from sluicegate import Outcome, TransferRecord

TRANSFERS: Final = "sluicegate.transfer"
"""The name of the logger of transfers."""

_LEVELS: Final[Mapping[Outcome, int]] = {
    Outcome.COMPLETE: logging.INFO,
    Outcome.CLIENT_GONE: logging.INFO,
    Outcome.DRAINED: logging.INFO,
    Outcome.CLIENT_TOO_SLOW: logging.WARNING,
    Outcome.ORIGIN_FAILED: logging.ERROR,
    Outcome.VERSION_CHANGED: logging.ERROR,
    Outcome.FAILED: logging.ERROR,
}

_EXPECTED: Final = frozenset(
    {
        *("NotFound", "InvalidKey", "MethodNotAllowed", "Refused", "Limited"),
        *("BadRequest", "BadPath", "BadParameter", "NoRoute", "Protocol"),
    }
)
"""Errors that are a client's: what is answered with them is no more than a line."""

_COMMON: Final = {
    **logging.makeLogRecord({}).__dict__,
    "name": TRANSFERS,
    "pathname": __file__,
    "filename": Path(__file__).name,
    "module": Path(__file__).stem,
    "funcName": "write",
}
_BEGAN: Final = time.time()

_UNWRITTEN: Final = frozenset({"span_served", "parent", "events"})
_NAMES: Final = tuple(one.name for one in fields(TransferRecord) if one.name not in _UNWRITTEN)
_values: Final = attrgetter(*_NAMES)

_UNKNOWN: Final = (None, "")
"""Values that a line leaves out: of what the server refused, not even the method may be known."""

_SAME: Final = f'"logger": "{TRANSFERS}", "event": "transfer"'
_QUOTED: Final = tuple(f'"{name}": ' for name in _NAMES)
"""What a line as JSON has before each value, and before the first."""


def transfer_logger() -> Callable[[TransferRecord], None]:
    """An observer that writes one line for each transfer."""
    logger = logging.getLogger(TRANSFERS)

    def write(record: TransferRecord) -> None:
        level = level_of(record)
        # Past `logger.log`, which would look up in which line of which file this is.
        if logger.isEnabledFor(level):
            logger.handle(TransferLine(record, level))

    return write


@dataclass(frozen=True, slots=True)
class TransferFacts:
    """The message of a line: as text its facts, for whoever does not write the line from the record."""

    record: TransferRecord

    def __str__(self) -> str:
        return str(fields_of(self.record))


class TransferLine(logging.LogRecord):
    """What is logged of a transfer, with `TransferFacts` as its message.

    `LogRecord` would find out for each what all of them have in common.
    """

    def __init__(self, transfer: TransferRecord, level: int) -> None:
        created = time.time()
        # Handlers and formatters read attributes, or copy this dictionary.
        self.__dict__.update(
            _COMMON,
            msg=TransferFacts(transfer),
            levelno=level,
            levelname=logging.getLevelName(level),
            created=created,
            msecs=created % 1 * 1000,
            relativeCreated=(created - _BEGAN) * 1000,
        )


def level_of(record: TransferRecord) -> int:
    """How much a transfer matters to an operator."""
    if record.error is not None and record.outcome is Outcome.COMPLETE:
        return logging.INFO if record.error.partition(":")[0] in _EXPECTED else logging.WARNING
    return _LEVELS[record.outcome]


def fields_of(record: TransferRecord) -> dict[str, object]:
    """What a line says of a transfer: all that is known. Seconds are rounded to microseconds."""
    facts = {
        name: _plain(value)
        for name, value in zip(_NAMES, _values(record), strict=True)
        if value not in _UNKNOWN
    }
    if record.span_served is not None:
        facts["span_start"], facts["span_stop"] = record.span_served.start, record.span_served.stop
    return facts


def _plain(value: Any) -> object:
    if type(value) is float:
        return round(value, 6)
    return value.value if type(value) is Outcome else value


def timestamp_of(line: logging.LogRecord) -> str:
    """When a line was made: RFC 3339, UTC, to the microsecond."""
    written = datetime.fromtimestamp(line.created, UTC).isoformat(timespec="microseconds")
    return f"{written[:-6]}Z"


def json_line(line: logging.LogRecord, record: TransferRecord) -> str:
    """The line as JSON: `fields_of` the transfer, after what every line begins with."""
    begun = f'{{"timestamp": "{timestamp_of(line)}", "level": "{line.levelname.lower()}", {_SAME}'
    pieces = [begun]
    for name, value in zip(_QUOTED, _values(record), strict=True):
        if value in _UNKNOWN:
            continue
        # By their types, of which there are few: `json` would look for more for each.
        kind = type(value)
        if kind is int:
            pieces.append(f"{name}{value}")
        elif kind is float:
            pieces.append(f"{name}{round(value, 6)}")
        elif kind is str:
            pieces.append(name + encode_basestring_ascii(value))
        else:
            pieces.append(name + json.dumps(_plain(value)))
    if (span := record.span_served) is not None:
        pieces.append(f'"span_start": {span.start}, "span_stop": {span.stop}')
    return ", ".join(pieces) + "}"
