"""What an origin says of an object, checked when it is said."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from sluicegate.errors import BadFieldValue
from sluicegate.http.metadata import Metadata

NAMES = (
    "content_type",
    "content_encoding",
    "content_language",
    "content_disposition",
    "content_location",
    "cache_control",
    "expires",
    "vary",
)


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\n", "\0", "日本"])
@pytest.mark.parametrize("name", NAMES)
def test_value_that_could_split_a_header_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadFieldValue, match=name.replace("_", "-")):
        Metadata(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"size": -1}, id="negative-size"),
        pytest.param({"last_modified": datetime(2024, 1, 1)}, id="modified-without-a-time-zone"),
        pytest.param({"answered": datetime(2024, 1, 1)}, id="answered-without-a-time-zone"),
    ],
)
def test_what_no_object_has_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got"):
        Metadata(**given)


def test_last_modified_is_what_a_header_can_tell() -> None:
    east = timezone(timedelta(hours=9))
    metadata = Metadata(last_modified=datetime(2024, 5, 1, 9, 0, 0, 999_999, tzinfo=east))
    assert metadata == Metadata(last_modified=datetime(2024, 5, 1, tzinfo=UTC))
