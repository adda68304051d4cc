"""A record to make others of, for who observes transfers."""

from dataclasses import replace
from typing import Any

from sluicegate import Outcome, TransferRecord

RECORD = TransferRecord(
    request_id="id-1",
    method="GET",
    route="/files/{key:path}",
    store="images",
    key="a.jpg",
    status=200,
    bytes_promised=20_480,
    bytes_sent=20_480,
    first_byte_seconds=0.004,
    duration_seconds=0.5,
    requests=1,
    parts=1,
    outcome=Outcome.COMPLETE,
    origin_bytes=20_480,
)


def record(**changes: Any) -> TransferRecord:
    """`RECORD`, changed."""
    return replace(RECORD, **changes)
