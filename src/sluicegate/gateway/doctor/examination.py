"""What a configuration connects to, one place after another."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from traceback import extract_tb

from ..config import Config, UpstreamConfig
from .aims import Aims
from .counting import counting_title, examine_counting
from .endpoints import Endpoint
from .findings import Finding, Findings, Section, problem
from .limits import CHECK_SECONDS
from .stores import examine_store
from .upstreams import Wanted, examine_upstream

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """A store or an upstream service: what it is called, and how to examine it."""

    title: str
    examine: Callable[[], Awaitable[Findings]] = field(repr=False)

    async def section(self) -> Section:
        """All that is found of it; that looking for it failed is a finding too, and hides no other place."""
        try:
            return Section(self.title, await self.examine())
        except Exception as bug:
            logger.debug("examining %s failed", self.title, exc_info=True)
            return Section(self.title, (_failed(bug),))


def _failed(bug: Exception) -> Finding:
    # Not its words: what a library says of a value that it cannot use may be that value.
    last = extract_tb(bug.__traceback__)[-1]
    return problem(
        f"the examination failed with {type(bug).__name__} ({Path(last.filename).name}, line {last.lineno})",
        "look whether its settings have characters that do not belong there; else report it as a bug",
    )


def places(config: Config, aims: Aims, seconds: float = CHECK_SECONDS) -> tuple[Place, ...]:
    """The stores in the order of the file, the upstream services, and what counts for several processes.

    Each check may take `seconds`.
    """
    stores, upstreams = _stores(config, aims, seconds), _upstreams(config, aims, seconds)
    return (*stores, *upstreams, *_counting(config, seconds))


def _stores(config: Config, aims: Aims, seconds: float) -> list[Place]:
    read_ahead = config.transfers.read_ahead
    return [
        Place(
            f"store {store.name} ({store.url})",
            partial(examine_store, store, aims.keys[store.name], read_ahead, seconds),
        )
        for store in config.stores.values()
    ]


def _upstreams(config: Config, aims: Aims, seconds: float) -> list[Place]:
    read_ahead = config.transfers.read_ahead
    targets = [route.target for route in config.routes if isinstance(route.target, UpstreamConfig)]
    # Several routes may lead to one service.
    services = dict.fromkeys(_service(target) for target in targets)
    return [
        Place(
            f"upstream {service}",
            partial(examine_upstream, service, _wanted(aims, service), read_ahead, seconds),
        )
        for service in services
    ]


def _counting(config: Config, seconds: float) -> list[Place]:
    if config.limits.is_counted_here:
        return []
    storage = config.limits.storage
    return [Place(counting_title(storage), partial(examine_counting, storage, seconds))]


def _wanted(aims: Aims, service: Endpoint) -> tuple[Wanted, ...]:
    return tuple(one for one in aims.wanted if _service(one.target) == service)


def _service(target: UpstreamConfig) -> Endpoint:
    return Endpoint.of(target.template.base_url, target.tls_verify)
