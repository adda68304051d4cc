"""What a request says of itself for logs: its id, and the trace that it is part of (W3C Trace Context)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sluicegate.http.fields import Fields

REQUEST_ID: Final = "x-request-id"
"""The field by which client, server and origin name one request in their logs."""

MAX_TRACESTATE: Final = 512
"""Trace Context section 3.3.1.5: at least this many characters SHOULD be passed on; longer lists end here."""

# Section 3.2.2: version, trace-id, parent-id and flags in lower case; "version-format" 00 has nothing more.
_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}"
)
_TRACESTATE = re.compile(r"[\t\x20-\x7e]+")


def trace_id_of(traceparent: str | None) -> str | None:
    """The id of the trace that a `traceparent` names: 32 hexadecimal digits, `None` if it is not valid.

    Values of a version that is not known yet are read as far as version 00 goes, if they are no longer.
    """
    matched = _TRACEPARENT.fullmatch(traceparent or "")
    if matched is None or matched["version"] == "ff":
        return None
    # Section 3.2.2.3: "All bytes as zero is considered an invalid value." The same holds for parent-id.
    if not matched["trace"].strip("0") or not matched["parent"].strip("0"):
        return None
    return matched["trace"]


def tracing_fields(fields: Mapping[str, str], request_id: str) -> Fields:
    """The fields of a request (names in lower case) by which an origin's log names it as ours does."""
    named: Fields = ((REQUEST_ID, request_id),)
    traceparent, tracestate = fields.get("traceparent"), fields.get("tracestate", "")
    # Section 3.3: "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate."
    if traceparent is None or trace_id_of(traceparent) is None:
        return named
    named += (("traceparent", traceparent),)
    if len(tracestate) <= MAX_TRACESTATE and _TRACESTATE.fullmatch(tracestate):
        named += (("tracestate", tracestate),)
    return named
