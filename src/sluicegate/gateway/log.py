"""What the gateway writes to stderr: one line for each transfer, and what everybody else logs, in one form.

A line is made of values that are escaped, so that nothing a client sends can begin another one. It never
holds header fields, query strings or configured values.
"""

from __future__ import annotations

import asyncio
import logging
import logging.config
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any, Final, cast

import structlog

from sluicegate import Outcome, TransferRecord
from sluicegate.errors import TransferCut

from .config.values import LogStyle

TRANSFERS: Final = "sluicegate.transfer"
"""The name of the logger of transfers."""

_EVENT = MutableMapping[str, Any]
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

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


class HideCuts(logging.Filter):
    """Leaves out the server's traceback of a response that was cut: its transfer has a line already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log `record`."""
        failure = record.exc_info[1] if record.exc_info else None
        return not isinstance(failure, TransferCut | asyncio.CancelledError)


def configure_log(style: LogStyle) -> None:
    """Send everything that is logged in this process to stderr, as JSON or as text.

    `"auto"` is text where stderr is a terminal, and JSON elsewhere.
    """
    chosen = ("text" if sys.stderr.isatty() else "json") if style == "auto" else style
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"cuts": {"()": HideCuts}},
            "formatters": {"line": {"()": partial(_formatter, chosen)}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["cuts"]},
            },
            "root": {"level": "INFO", "handlers": ["stderr"]},
        }
    )


def transfer_logger() -> Callable[[TransferRecord], None]:
    """An observer that writes one line for each transfer."""
    logger = logging.getLogger(TRANSFERS)

    def write(record: TransferRecord) -> None:
        level = level_of(record)
        # Past `logger.log`, which would look up in which line of which file this is.
        if logger.isEnabledFor(level):
            logger.handle(_TransferLine(TRANSFERS, level, __file__, 0, fields_of(record), None, None))

    return write


class _TransferLine(logging.LogRecord):
    """What is logged of a transfer; its message is the facts, for the formatter to write."""


def level_of(record: TransferRecord) -> int:
    """How much a transfer matters to an operator."""
    kind = (record.error or "").partition(":")[0]
    if record.outcome is Outcome.COMPLETE and kind and kind not in _EXPECTED:
        return logging.WARNING
    return _LEVELS[record.outcome]


def fields_of(record: TransferRecord) -> dict[str, object]:
    """What a line says of a transfer: all that is known. Seconds are rounded to microseconds."""
    values = zip(_NAMES, _values(record), strict=True)
    facts = {name: _rounded(value) for name, value in values if value is not None}
    facts["outcome"] = record.outcome.value
    if record.span_served is not None:
        facts["span_start"], facts["span_stop"] = record.span_served.start, record.span_served.stop
    return facts


_UNUSED: Final = logging.getLogger(TRANSFERS)
_UNWRITTEN: Final = frozenset({"span_served", "parent", "events"})
_NAMES: Final = tuple(one.name for one in fields(TransferRecord) if one.name not in _UNWRITTEN)
_values: Final = attrgetter(*_NAMES)


def _rounded(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else value


_Render = Callable[[logging.Logger, str, _EVENT], str | bytes]


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders the lines of transfers itself: they are many, and need none of the steps that others do."""

    def __init__(self, render: _Render, **settings: Any) -> None:
        super().__init__(**settings)
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        if not isinstance(record, _TransferLine):
            return super().format(record)
        written = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: _EVENT = {
            "timestamp": f"{written[:-6]}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": "transfer",
        }
        line.update(cast("dict[str, object]", record.msg))
        return cast("str", self._render(_UNUSED, "", line))


def _formatter(style: str) -> structlog.stdlib.ProcessorFormatter:
    render = _as_json if style == "json" else _as_text
    return _Formatter(
        render,
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            render,
        ],
    )


_render_json = structlog.processors.JSONRenderer()


def _as_json(logger: logging.Logger, method: str, event: _EVENT) -> str | bytes:
    first = {name: event.pop(name) for name in ("timestamp", "level", "logger", "event")}
    return _render_json(logger, method, {**first, **event})


def _as_text(logger: logging.Logger, method: str, event: _EVENT) -> str:
    when, level, name, what = (str(event.pop(key)) for key in ("timestamp", "level", "logger", "event"))
    exception = event.pop("exception", None)
    line = " ".join(
        [when, level.upper(), f"{name}:", _escaped(what), *(f"{k}={v!r}" for k, v in event.items())]
    )
    # A traceback is the only thing that has lines of its own; indented, none of them looks like another one.
    return line if exception is None else "\n    ".join([line, *map(_escaped, str(exception).splitlines())])


def _escaped(text: str) -> str:
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
