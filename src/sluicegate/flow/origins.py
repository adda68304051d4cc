"""From an address to a source whose bodies come in parts: what applications open."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sluicegate.flow.budget import PROCESS_BUDGET, Budget
from sluicegate.flow.options import DEFAULT_TRANSFERS, TransferOptions
from sluicegate.flow.parted import PartedSource
from sluicegate.sources.base import Source
from sluicegate.sources.opening import Client, http_source, store_source
from sluicegate.sources.options import (
    DEFAULT_HTTP_OPTIONS,
    DEFAULT_OPTIONS,
    HttpOptions,
    StoreOptions,
    check_kind,
)

LOCAL: Final = ("file://", "memory://")
"""Stores that nothing is gained of by more than one connection."""


def open_store(
    url: str,
    options: StoreOptions = DEFAULT_OPTIONS,
    *,
    client: Client = "obstore",
    transfers: TransferOptions = DEFAULT_TRANSFERS,
    budget: Budget = PROCESS_BUDGET,
) -> Source:
    """A source on an object store, to be entered with `async with` in the application's lifespan.

    `url` is `s3://bucket`, `gs://bucket`, `az://container` (each with an optional prefix),
    `file:///folder` or `memory://`; `client` is the library that reads `s3://`, and an extra of the same
    name installs it. `transfers` says how bodies are fetched; `budget` is what all sources that are given it
    may hold ahead of their clients, in bytes.

    Raises `BadOptions` for what cannot be used, and `TypeError` for what is of another type.
    """
    check_kind("options", options, StoreOptions)
    check_kind("transfers", transfers, TransferOptions)
    # The clients' own retries would be hidden: from the client that waits, and from the record.
    source = store_source(url, replace(options, attempts=1), client=client)
    if url.startswith(LOCAL):
        transfers = replace(transfers, read_ahead=0)
    return PartedSource(source, transfers, budget=budget, attempts=options.attempts)


def open_http(
    base_url: str,
    options: HttpOptions = DEFAULT_HTTP_OPTIONS,
    *,
    transfers: TransferOptions = DEFAULT_TRANSFERS,
    budget: Budget = PROCESS_BUDGET,
) -> Source:
    """A source on an HTTP API, to be entered with `async with` in the application's lifespan.

    A key is a path below `base_url`. `transfers` and `budget` are as for `open_store`. Needs the `aiohttp`
    extra. Raises `BadOptions` for what cannot be used.
    """
    return PartedSource(http_source(base_url, options), transfers, budget=budget, attempts=options.attempts)
