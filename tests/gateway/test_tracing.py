"""Spans of transfers: what they say, whose they are, and that a collector receives them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from sluicegate import Outcome, TransferRecord
from sluicegate.gateway.tracing import span_exporter
from sluicegate.observe import TransferEvent

from .records import record

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


def spans_of(*records: TransferRecord) -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    observe = span_exporter("1.2.3", processors=[SimpleSpanProcessor(exporter)])
    for one in records:
        observe(one)
    observe.close()
    return exporter.get_finished_spans()


def span_of(**changes: Any) -> ReadableSpan:
    (span,) = spans_of(record(**changes))
    return span


def test_span_says_what_happened_by_the_conventions() -> None:
    span = span_of(client="192.0.2.1", subject="ada", first_byte_seconds=0.25)
    assert (span.name, span.kind) == ("GET /files/{key:path}", SpanKind.SERVER)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/files/{key:path}",
        "http.response.status_code": 200,
        "http.response.body.size": 20_480,
        "client.address": "192.0.2.1",
        "enduser.id": "ada",
        "sluicegate.request_id": "id-1",
        "sluicegate.store": "images",
        "sluicegate.key": "a.jpg",
        "sluicegate.outcome": "complete",
        "sluicegate.bytes_promised": 20_480,
        "sluicegate.first_byte_seconds": 0.25,
        "sluicegate.origin.requests": 1,
        "sluicegate.origin.bytes": 20_480,
        "sluicegate.parts": 1,
        "sluicegate.resumes": 0,
        "sluicegate.retries": 0,
        "sluicegate.parkings": 0,
        "sluicegate.parked_seconds": 0.0,
    }
    assert span.status.status_code is StatusCode.UNSET


def test_span_lasts_as_long_as_the_transfer_and_has_its_events() -> None:
    events = (TransferEvent(10.0, "park"), TransferEvent(1000.5, "unpark"), TransferEvent(1001.0, "resume"))
    span = span_of(duration_seconds=1800.0, events=events)
    assert span.start_time is not None
    assert span.end_time == span.start_time + 1800 * SECOND
    assert [(event.name, event.timestamp - span.start_time) for event in span.events] == [
        ("park", 10 * SECOND),
        ("unpark", 1000 * SECOND + SECOND // 2),
        ("resume", 1001 * SECOND),
    ]


def test_span_is_part_of_the_clients_trace() -> None:
    span = span_of(parent=f"00-{TRACE}-{PARENT}-01", trace_id=TRACE)
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.parent.is_remote


def test_span_without_a_parent_begins_a_trace() -> None:
    one, other = spans_of(record(), record())
    assert (one.parent, other.parent) == (None, None)
    assert one.context.trace_id != other.context.trace_id


def test_trace_that_its_client_does_not_record_is_not_recorded() -> None:
    assert spans_of(record(parent=f"00-{TRACE}-{PARENT}-00")) == ()


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        pytest.param({"outcome": Outcome.CLIENT_GONE}, StatusCode.UNSET, None, id="gone"),
        pytest.param({"status": 404, "error": "NotFound: no such key"}, StatusCode.UNSET, None, id="missing"),
        pytest.param({"status": 502, "error": "Unavailable: x"}, StatusCode.ERROR, "Unavailable", id="502"),
        pytest.param(
            {"outcome": Outcome.ORIGIN_FAILED, "error": "BrokenBody: reset"},
            StatusCode.ERROR,
            "BrokenBody",
            id="cut",
        ),
        pytest.param({"outcome": Outcome.DRAINED}, StatusCode.ERROR, "drained", id="drained"),
        pytest.param({"outcome": Outcome.FAILED, "status": None}, StatusCode.ERROR, "failed", id="bug"),
    ],
)
def test_transfer_that_was_cut_is_an_error(
    changes: dict[str, Any], status: StatusCode, error: str | None
) -> None:
    span = span_of(**changes)
    assert span.attributes is not None
    assert (span.status.status_code, span.attributes.get("error.type")) == (status, error)
    assert span.status.description == (changes.get("error") if status is StatusCode.ERROR else None)


def test_method_of_a_client_makes_no_name() -> None:
    span = span_of(method="EVIL", route=None)
    assert span.attributes is not None
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "_OTHER")


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "sluicegate"),
        ({"OTEL_SERVICE_NAME": "images"}, "images"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=files"}, "files"),
    ],
)
def test_service_has_the_name_that_the_operator_gives(
    variables: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    attributes = span_of().resource.attributes
    assert (attributes["service.name"], attributes["service.version"]) == (name, "1.2.3")


class Collector(BaseHTTPRequestHandler):
    """Takes what an exporter sends."""

    received: "Queue[tuple[str, str | None, ExportTraceServiceRequest]]"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        exported = ExportTraceServiceRequest.FromString(content)
        self.received.put((self.path, self.headers["x-tenant"], exported))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def collector() -> Iterator[tuple[str, "Queue[tuple[str, str | None, ExportTraceServiceRequest]]"]]:
    received: Queue[tuple[str, str | None, ExportTraceServiceRequest]] = Queue()
    handler = type("Bound", (Collector,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def test_collector_receives_the_spans_where_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (url, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=images")
        observe = span_exporter("1.2.3")
        observe(record(parent=f"00-{TRACE}-{PARENT}-01", events=(TransferEvent(0.1, "resume"),)))
        observe(record(outcome=Outcome.ORIGIN_FAILED, error="BrokenBody: reset"))
        observe.close()
        path, tenant, exported = received.get(timeout=10)
    assert (path, tenant) == ("/v1/traces", "images")
    (resource,) = exported.resource_spans
    assert ("service.name", "sluicegate") in {
        (one.key, one.value.string_value) for one in resource.resource.attributes
    }
    first, second = resource.scope_spans[0].spans
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert [event.name for event in first.events] == ["resume"]
    assert (second.status.code, second.status.message) == (2, "BrokenBody: reset")


def test_collector_that_is_away_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    observe = span_exporter("1.2.3")
    for _ in range(3000):
        observe(record())
    observe.close()


MISSING = """
import sys
sys.modules["opentelemetry"] = None
from sluicegate.gateway.tracing import TracingMissing, span_exporter
try:
    span_exporter("1.2.3")
except TracingMissing as error:
    print(error)
"""


def test_extra_that_is_not_installed_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("pip install 'sluicegate[otel]'\n")


def test_nothing_is_imported_before_spans_are_switched_on() -> None:
    code = "import sys, sluicegate.gateway.tracing as _; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
