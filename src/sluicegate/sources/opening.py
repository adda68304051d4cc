"""From an address to a source. Imports a client library only when a source of its kind is wanted."""

from __future__ import annotations

import os
from typing import Literal

from sluicegate.sources.base import Source
from sluicegate.sources.options import (
    DEFAULT_HTTP_OPTIONS,
    DEFAULT_OPTIONS,
    BadOptions,
    HttpOptions,
    StoreOptions,
    check_kind,
    parse_location,
)

Client = Literal["obstore", "aiobotocore", "botocore"]


def store_source(url: str, options: StoreOptions = DEFAULT_OPTIONS, *, client: Client = "obstore") -> Source:
    """The source for a store: `client` is the library that reads `s3://`.

    Raises `BadOptions` for what cannot be used, and where that library is not installed; `TypeError` for what
    is of another type.
    """
    parse_location(url)
    check_kind("options", options, StoreOptions)
    match client:
        case "obstore":
            from sluicegate.sources.object_store import ObjectStore  # noqa: PLC0415

            # Elsewhere a key could mean another file than it says: backslashes, drives, devices.
            if url.startswith("file:") and os.name == "posix":
                from sluicegate.sources.files import FileStore  # noqa: PLC0415

                return FileStore(url, options)
            return ObjectStore(url, options)
        case "aiobotocore":
            try:
                from sluicegate.sources.aiobotocore import AiobotocoreSource  # noqa: PLC0415
            except ImportError as exc:
                raise _missing(client) from exc
            return AiobotocoreSource(url, options)
        case "botocore":
            try:
                from sluicegate.sources.botocore import BotocoreSource  # noqa: PLC0415
            except ImportError as exc:
                raise _missing(client) from exc
            return BotocoreSource(url, options)
        case _:
            raise BadOptions(f'client is "obstore", "aiobotocore" or "botocore", got {client!r}')


def http_source(base_url: str, options: HttpOptions = DEFAULT_HTTP_OPTIONS) -> Source:
    """The source for an HTTP API.

    Raises `BadOptions` for what cannot be used, and where aiohttp is not installed; `TypeError` for what is
    of another type.
    """
    if not isinstance(base_url, str):
        raise TypeError(f"base_url is text such as 'https://host/path', got {type(base_url).__name__}")
    check_kind("options", options, HttpOptions)
    try:
        from sluicegate.sources.http import HttpSource  # noqa: PLC0415
    except ImportError as exc:
        raise _missing("aiohttp") from exc
    return HttpSource(base_url, options)


def _missing(extra: str) -> BadOptions:
    return BadOptions(f"{extra} is not installed: pip install 'sluicegate[{extra}]'")
