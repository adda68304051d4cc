"""What a request says of itself for logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.tracing import MAX_TRACESTATE, trace_id_of, tracing_fields

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(TRACEPARENT, TRACE, id="valid"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01", TRACE, id="later-version"),
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param(f"ff-{TRACE}-{PARENT}-01", None, id="forbidden-version"),
        pytest.param(f"00-{'0' * 32}-{PARENT}-01", None, id="zero-trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", None, id="zero-parent"),
        pytest.param(TRACEPARENT.upper(), None, id="upper-case"),
        pytest.param(f"00-{TRACE}-{PARENT}", None, id="no-flags"),
        pytest.param(f"{TRACEPARENT}-more", None, id="too-long"),
        pytest.param(f"{TRACEPARENT}, {TRACEPARENT}", None, id="two-fields"),
        pytest.param(f"{TRACEPARENT}\n", None, id="line-end"),
    ],
)
def test_trace_of_a_traceparent(value: str | None, expected: str | None) -> None:
    assert trace_id_of(value) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, (), id="nothing"),
        pytest.param({"traceparent": TRACEPARENT}, (("traceparent", TRACEPARENT),), id="trace"),
        pytest.param(
            {"traceparent": TRACEPARENT, "tracestate": "a=1,b=2"},
            (("traceparent", TRACEPARENT), ("tracestate", "a=1,b=2")),
            id="trace-with-state",
        ),
        pytest.param({"traceparent": "00-1-2-3", "tracestate": "a=1"}, (), id="broken-trace"),
        pytest.param({"tracestate": "a=1"}, (), id="state-alone"),
        pytest.param(
            {"traceparent": TRACEPARENT, "tracestate": "a" * (MAX_TRACESTATE + 1)},
            (("traceparent", TRACEPARENT),),
            id="long-state",
        ),
        pytest.param(
            {"traceparent": TRACEPARENT, "tracestate": "a=\xe9"},
            (("traceparent", TRACEPARENT),),
            id="state-beyond-ascii",
        ),
    ],
)
def test_origin_is_told_the_request_and_its_trace(
    fields: dict[str, str], expected: tuple[tuple[str, str], ...]
) -> None:
    assert tracing_fields(fields, "id-1") == (("x-request-id", "id-1"), *expected)


@given(st.text())
def test_no_text_makes_reading_a_trace_raise(value: str) -> None:
    trace_id_of(value)
    tracing_fields({"traceparent": value, "tracestate": value}, "id-1")
