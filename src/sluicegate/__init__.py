"""Stream objects from object storage, or from another service, through your own Python API."""

from sluicegate.delivery.openapi import object_responses
from sluicegate.delivery.responses import ObjectResponse, StreamResponse, object_route
from sluicegate.errors import SluicegateError, SourceError
from sluicegate.flow.budget import Budget
from sluicegate.flow.options import TransferOptions
from sluicegate.flow.origins import open_http, open_store
from sluicegate.flow.parted import PartedSource
from sluicegate.flow.throttle import Throttle, ThrottledSource
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag
from sluicegate.observe import Outcome, TransferEvent, TransferRecord
from sluicegate.sources.base import Body, Found, OpenOutcome, OpenRequest, Source, check_key
from sluicegate.sources.listing import Listed, some_objects
from sluicegate.sources.options import HttpOptions, StoreOptions

__version__ = "0.1.0"

__all__ = [
    "Body",
    "Budget",
    "ETag",
    "Found",
    "HttpOptions",
    "Listed",
    "Metadata",
    "NotModified",
    "ObjectResponse",
    "OpenOutcome",
    "OpenRequest",
    "Outcome",
    "PartedSource",
    "PreconditionFailed",
    "SluicegateError",
    "Source",
    "SourceError",
    "Span",
    "StoreOptions",
    "StreamResponse",
    "Throttle",
    "ThrottledSource",
    "TransferEvent",
    "TransferOptions",
    "TransferRecord",
    "Unsatisfiable",
    "__version__",
    "check_key",
    "object_responses",
    "object_route",
    "open_http",
    "open_store",
    "some_objects",
]
