"""The sources of a configuration: its stores, and the services that it relays."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, fields
from types import TracebackType
from typing import Self

from sluicegate import (
    Budget,
    HttpOptions,
    OpenOutcome,
    OpenRequest,
    Source,
    StoreOptions,
    TransferOptions,
    open_http,
    open_store,
)

from .config import Config, StoreConfig, UpstreamConfig


class Upstream(AbstractAsyncContextManager["Upstream"]):
    """Another service as a source. Its query, which may hold a secret, is no part of any key.

    Keys are shown: in logs, and in file names.
    """

    def __init__(self, config: UpstreamConfig, transfers: TransferOptions, budget: Budget) -> None:
        options, base_url = upstream_options(config), config.template.base_url
        self._query = config.template.query
        self._http = open_http(base_url, options, transfers=transfers, budget=budget)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(exc_type, exc, traceback)

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask for the path `key`, which is percent-encoded."""
        return await self._http.open(key + self._query, request)


class Origins:
    """All sources of a configuration: stores by name, upstreams by their settings. None is open yet.

    `budget` is what they all may hold ahead of their clients.

    Raises `BadOptions` for what cannot be used.
    """

    def __init__(self, config: Config, budget: Budget) -> None:
        options = config.transfers.options
        self.stores: Mapping[str, Source] = {
            name: _store(store, options, budget) for name, store in config.stores.items()
        }
        targets = {route.target: None for route in config.routes if isinstance(route.target, UpstreamConfig)}
        self.upstreams: Mapping[UpstreamConfig, Source] = {
            target: Upstream(target, options, budget) for target in targets
        }
        self.probes: Mapping[str, str] = {
            name: store.probe for name, store in config.stores.items() if store.probe is not None
        }

    @property
    def named(self) -> tuple[tuple[str, Source], ...]:
        """Every source, and what to call it."""
        stores = [(f"store {name!r}", source) for name, source in self.stores.items()]
        upstreams = [(f"upstream {one.template.base_url}", source) for one, source in self.upstreams.items()]
        return (*stores, *upstreams)


def upstream_options(config: UpstreamConfig) -> HttpOptions:
    """How to reach a service; raises `BadOptions` for what cannot be used."""
    return HttpOptions(
        headers=dict(config.request_headers),
        tls_verify=config.tls_verify,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        encoded_keys=True,
        redirects=config.redirects,
        allow_networks=config.allow_networks,
        public_only=config.public_only,
    )


def store_options(store: StoreConfig) -> StoreOptions:
    """How to reach a store; raises `BadOptions` for what cannot be used."""
    known = {field.name for field in fields(StoreOptions)}
    return StoreOptions(**{name: value for name, value in asdict(store).items() if name in known})


def _store(store: StoreConfig, transfers: TransferOptions, budget: Budget) -> Source:
    options = store_options(store)
    return open_store(store.url, options, client=store.client, transfers=transfers, budget=budget)
