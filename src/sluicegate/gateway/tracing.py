"""Spans for OpenTelemetry: one for each transfer, made from its record when it is over.

OpenTelemetry is imported when spans are switched on, and never otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sluicegate import Outcome, TransferRecord
from sluicegate.errors import MethodNotAllowed, SluicegateError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

SERVICE: Final = "sluicegate"
"""The name of the service, where `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` give none."""

_NANOSECONDS: Final = 1_000_000_000
_WHOLE: Final = frozenset({Outcome.COMPLETE, Outcome.CLIENT_GONE})
_METHODS: Final = frozenset(MethodNotAllowed.allowed)

Attribute = str | int | float

# By the semantic conventions for HTTP servers; what they have no name for is ours.
_NAMES: Final = MappingProxyType(
    {
        "http.route": "route",
        "http.response.status_code": "status",
        "http.response.body.size": "bytes_sent",
        "client.address": "client",
        "enduser.id": "subject",
        "sluicegate.request_id": "request_id",
        "sluicegate.store": "store",
        "sluicegate.key": "key",
        "sluicegate.bytes_promised": "bytes_promised",
        "sluicegate.first_byte_seconds": "first_byte_seconds",
        "sluicegate.origin.requests": "requests",
        "sluicegate.origin.bytes": "origin_bytes",
        "sluicegate.parts": "parts",
        "sluicegate.resumes": "resumes",
        "sluicegate.retries": "retries",
        "sluicegate.parkings": "parkings",
        "sluicegate.parked_seconds": "parked_seconds",
    }
)


class TracingMissing(SluicegateError):
    """Spans were asked for, and OpenTelemetry is not installed."""


class SpanObserver:
    """An observer that makes a span of each record. `close` it when the last transfer is over."""

    def __init__(self, provider: TracerProvider, version: str) -> None:
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE, version)
        self._propagator = tracecontext.TraceContextTextMapPropagator()

    def __call__(self, record: TransferRecord) -> None:
        """Make the span of a transfer that has just ended. It is sent later, by a thread of its own."""
        ended = time.time_ns()
        began = ended - _nanoseconds(record.duration_seconds)
        carrier = {} if record.parent is None else {"traceparent": record.parent}
        span = self._tracer.start_span(
            _name(record),
            # Without a parent it is an empty context, so that no other span becomes one by chance.
            self._propagator.extract(carrier),
            self._trace.SpanKind.SERVER,
            attributes=attributes_of(record),
            start_time=began,
        )
        for event in record.events:
            span.add_event(event.name, timestamp=began + _nanoseconds(event.seconds))
        if failure_of(record) is not None:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, record.error))
        span.end(ended)

    def close(self) -> None:
        """Send what is left. It blocks, for as long as OpenTelemetry's limits allow."""
        self._provider.shutdown()


def span_exporter(version: str, *, processors: Iterable[SpanProcessor] = ()) -> SpanObserver:
    """An observer whose spans go to a collector by OTLP over HTTP, as the usual `OTEL_*` variables say.

    `processors` take its place where there are any. Raises `TracingMissing`.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as exc:
        raise TracingMissing(
            f"spans need OpenTelemetry ({exc.name} is not installed): pip install 'sluicegate[otel]'"
        ) from exc
    resource = Resource.create({"service.version": version})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": SERVICE}))
    # Whoever made it closes it: at the end of a process it would wait for a collector that is gone.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for processor in tuple(processors) or (BatchSpanProcessor(OTLPSpanExporter()),):
        provider.add_span_processor(processor)
    return SpanObserver(provider, version)


def attributes_of(record: TransferRecord) -> dict[str, Attribute]:
    """What a span says of a transfer: all that is known."""
    known = {name: getattr(record, field) for name, field in _NAMES.items()}
    attributes: dict[str, Attribute] = {name: value for name, value in known.items() if value is not None}
    attributes["http.request.method"] = record.method if record.method in _METHODS else "_OTHER"
    attributes["sluicegate.outcome"] = record.outcome.value
    if (failure := failure_of(record)) is not None:
        attributes["error.type"] = failure
    return attributes


def failure_of(record: TransferRecord) -> str | None:
    """The kind of error, if the transfer is one: it was cut, or the server could not do what was asked."""
    is_failure = record.outcome not in _WHOLE or (record.status or 0) >= 500
    if not is_failure:
        return None
    return (record.error or record.outcome.value).partition(":")[0]


def _name(record: TransferRecord) -> str:
    method = record.method if record.method in _METHODS else "HTTP"
    return f"{method} {record.route}" if record.route is not None else method


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
