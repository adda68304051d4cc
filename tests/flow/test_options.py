"""Arguments of another type than they must be: which it was, and what to give."""

from pathlib import Path
from typing import Any

import pytest

from sluicegate import (
    Budget,
    HttpOptions,
    PartedSource,
    StoreOptions,
    TransferOptions,
    open_http,
    open_store,
    some_objects,
)
from sluicegate.sources.options import BadOptions
from sluicegate.testing import ScriptedSource

OPTIONS = r"^options is of type (Store|Http)Options, got .*: give (Store|Http)Options\(...\)$"
TRANSFERS = r"^transfers is of type TransferOptions, got .*: give TransferOptions\(...\)$"
BUDGET = r"^budget is of type Budget, got int: give Budget\(...\)$"


@pytest.mark.parametrize(
    ("url", "arguments", "told"),
    [
        (Path("/srv/files"), {}, r"^url is text such as 's3://bucket', got PosixPath: .* Path.as_uri\(\)$"),
        (b"s3://bucket", {}, "^url is text such as 's3://bucket', got bytes"),
        (None, {}, "^url is text such as 's3://bucket', got NoneType"),
        ("s3://bucket", {"options": {"region": "eu-west-1"}}, OPTIONS),
        ("s3://bucket", {"options": HttpOptions()}, OPTIONS),
        ("s3://bucket", {"options": None}, OPTIONS),
        ("s3://bucket", {"transfers": {}}, TRANSFERS),
        ("memory://", {"transfers": None}, TRANSFERS),
        ("s3://bucket", {"budget": 1 << 30}, BUDGET),
    ],
    ids=str,
)
def test_store(url: Any, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        open_store(url, **arguments)


@pytest.mark.parametrize(
    ("url", "arguments", "told"),
    [
        (Path("/srv/files"), {}, "^base_url is text such as 'https://host/path', got PosixPath$"),
        ("http://host", {"options": {}}, OPTIONS),
        ("http://host", {"options": StoreOptions()}, OPTIONS),
        ("http://host", {"transfers": {}}, TRANSFERS),
        ("http://host", {"budget": 1 << 30}, BUDGET),
    ],
    ids=str,
)
def test_http(url: Any, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        open_http(url, **arguments)


def test_parts() -> None:
    with pytest.raises(TypeError, match=TRANSFERS):
        PartedSource(ScriptedSource(), {})  # type: ignore[arg-type]


async def test_listing() -> None:
    with pytest.raises(TypeError, match=OPTIONS):
        await some_objects("memory://", {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^url is text"):
        await some_objects(Path("/srv/files"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("part_size", "8MiB", "is a whole number of bytes, at least 65536, got '8MiB'"),
        ("part_size", 8e6, "is a whole number of bytes, at least 65536, got 8000000.0"),
        ("part_size", 1, "is a whole number of bytes, at least 65536, got 1"),
        ("read_ahead", None, "is a whole number of bytes, at least 0, got None"),
        ("read_ahead", -1, "is a whole number of bytes, at least 0, got -1"),
        ("park_after", "2s", "is in seconds, above 0 and below a day, got '2s'"),
        ("give_up_after", None, "is in seconds, above 0 and below a day, got None"),
        ("give_up_after", 0, "is in seconds, above 0 and below a day, got 0"),
    ],
    ids=str,
)
def test_transfers(name: str, value: Any, told: str) -> None:
    with pytest.raises(BadOptions, match=f"^{name} {told}$"):
        TransferOptions(**{name: value})


@pytest.mark.parametrize("total", ["64MiB", 6.4e7, -1])
def test_budget(total: Any) -> None:
    with pytest.raises(BadOptions, match=f"^total is a whole number of bytes, at least 0, got {total!r}$"):
        Budget(total)
