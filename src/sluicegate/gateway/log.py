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
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, Final

import structlog

from sluicegate import TransferRecord
from sluicegate.errors import TransferCut

from .config.values import LogStyle
from .transfer_log import TransferFacts, fields_of, json_line, timestamp_of

_EVENT = MutableMapping[str, Any]
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Writes the lines of transfers past the steps that others need."""

    def __init__(self, line: Callable[[logging.LogRecord, TransferRecord], str], **settings: Any) -> None:
        super().__init__(**settings)
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts = record.msg
        return self._line(record, facts.record) if type(facts) is TransferFacts else super().format(record)


def _text_line(line: logging.LogRecord, record: TransferRecord) -> str:
    begun = {"timestamp": timestamp_of(line), "level": line.levelname, "logger": line.name}
    return _text({**begun, "event": "transfer", **fields_of(record)})


def _formatter(style: str) -> structlog.stdlib.ProcessorFormatter:
    render = _as_json if style == "json" else _as_text
    return _Formatter(
        json_line if style == "json" else _text_line,
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
    return _text(event)


def _text(event: _EVENT) -> str:
    when, level, name, what = (str(event.pop(key)) for key in ("timestamp", "level", "logger", "event"))
    exception = event.pop("exception", None)
    line = " ".join(
        [when, level.upper(), f"{name}:", _escaped(what), *(f"{k}={v!r}" for k, v in event.items())]
    )
    # A traceback is the only thing that has lines of its own; indented, none of them looks like another one.
    return line if exception is None else "\n    ".join([line, *map(_escaped, str(exception).splitlines())])


def _escaped(text: str) -> str:
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
