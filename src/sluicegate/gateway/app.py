"""The gateway as an ASGI application: a configuration's routes, its documents, and its health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sluicegate import SluicegateError, Source, TransferRecord, __version__
from sluicegate.access.base import Address, Verifier
from sluicegate.access.counters import Counters, Uncounted
from sluicegate.access.rates import Rates
from sluicegate.errors import MethodNotAllowed
from sluicegate.http.addresses import client_address, parse_address, parse_network
from sluicegate.http.fields import Fields, is_valid_host
from sluicegate.http.paths import below_mount, canonical_segments
from sluicegate.observe import Observer

from .answers import OwnAnswer, Problem, adding, raw, request_id_of
from .config import Config, RouteConfig, UpstreamConfig
from .config.verifiers import verifier_of
from .documents import documents
from .gates import ProcessRates
from .guarded import Arrival, GuardedRoute, Shared
from .metrics import Metrics
from .origins import Origins
from .process_state import ProcessState
from .readiness import Probe, Readiness
from .routes import BadParameter, BadPath, Match, NoMatch, Router
from .targets import Placeholder
from .transfer_log import transfer_logger

LONGEST_SHOWN: Final = 100
"""Characters of a bad parameter that its answer repeats."""

ALLOW: Final = (("allow", ", ".join(MethodNotAllowed.allowed)),)


class CannotOpen(SluicegateError):
    """A store, an upstream or a way to show who one is could not be opened; the message says which."""


class Gateway:
    """An ASGI application of one configuration. What it needs is opened when the server starts it, and closed
    when it stops.

    `observe` is called once for each transfer, and for each answer that the gateway gives itself; by default
    it writes the line of the log. `shared` is what a process has for all of its configurations in turn; who
    gives it says by `take_over` when this one is in place.
    """

    def __init__(
        self, config: Config, observe: Observer | None = None, shared: ProcessState | None = None
    ) -> None:
        state = shared or ProcessState(Metrics(__version__))
        self.config = config
        self._state = state
        self._origins = Origins(config, state.budget)
        self._rates = ProcessRates(
            _rates(config, state.client_counters), _rates(config, state.common_counters)
        )
        self._verifiers = {name: verifier_of(auth, self._count_use) for name, auth in config.auth.items()}
        self._observe = both(state.metrics, observe or transfer_logger())
        self._routes = self._guarded()
        self._router = Router(
            (route.path for route in config.routes),
            [index for index, one in enumerate(config.routes) if isinstance(one.target, UpstreamConfig)],
        )
        self._trusted = tuple(parse_network(text) for text in config.gateway.trusted_proxies)
        self.readiness = Readiness(
            [Probe(name, source, self._origins.probes.get(name)) for name, source in self._origins.named]
        )
        self._fields = raw(_secure_fields(config))
        if shared is None:
            self.take_over()
        self._ready = False
        fixed: dict[str, ASGIApp] = {
            "/healthz": _text("ok"),
            "/readyz": self._readiness,
            **(documents(config, __version__) if config.gateway.openapi else {}),
        }
        self._fixed = {canonical_segments(path.encode()): app for path, app in fixed.items()}

    def _guarded(self) -> tuple[GuardedRoute, ...]:
        config, gates = self.config, self._state.gates
        shared = Shared(config, self._observe, self._state.metrics, self._rates, gates.of_gateway())
        return tuple(
            GuardedRoute(
                route, self._sources(route), self._verifiers, gates.of_route(route.path.text), shared
            )
            for route in config.routes
        )

    def take_over(self) -> None:
        """Let the limits of this configuration be those of the process: new requests come here."""
        gates, limits = self._state.gates, self.config.limits
        gates.of_gateway().limit(limits)
        for route in self.config.routes:
            gates.of_route(route.path.text).limit(route.limits)
        self._state.budget.total = self.config.transfers.read_ahead_total

    def _sources(self, route: RouteConfig) -> Mapping[str, Source]:
        """What a route may lead to, by the name of the store; an upstream has none."""
        if isinstance(route.target, UpstreamConfig):
            return {"": self._origins.upstreams[route.target]}
        store = route.target.store
        names = route.stores if isinstance(store, Placeholder) else (store,)
        return {name: self._origins.stores[name] for name in names}

    async def _count_use(self, link: str, most: int, seconds: int) -> bool | None:
        if self._state.has_siblings and self.config.limits.is_counted_here:
            # Each process would allow all of them.
            return None
        try:
            return await self._rates.of_all.use(link, most, seconds)
        except Uncounted:
            return None

    @property
    def is_ready(self) -> bool:
        """Whether new requests are welcome: it has started, and does not end."""
        return self._ready

    def drain(self) -> None:
        """Be ready for nothing new. What is under way goes on."""
        self._ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server's, or its lifespan."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._fields:
            send = adding(self._fields, send)
        chosen = self._choose(scope)
        client, peer = self._client(scope)
        if isinstance(chosen, OwnAnswer):
            await chosen.about(None, peer).send(scope, send, self._observe)
        elif isinstance(chosen, _Chosen):
            arrival = Arrival(scope, chosen.segments, chosen.params, client, peer)
            await chosen.route.serve(arrival, receive, send)
        else:
            own = [(b"x-request-id", request_id_of(scope).encode()), (b"x-content-type-options", b"nosniff")]
            await chosen(scope, receive, adding(own, send))

    def _choose(self, scope: Scope) -> _Chosen | OwnAnswer | ASGIApp:
        """What answers a request. Nothing is asked of a source yet."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if not is_valid_host(hosts, scope["http_version"]):
            detail = "exactly one valid Host header field is needed"
            return Problem(status=400, title="Bad request", detail=detail, error="BadRequest: Host")
        try:
            segments = below_mount(canonical_segments(scope["raw_path"]), scope.get("root_path", ""))
            fixed = self._fixed.get(segments)
            if fixed is not None:
                return fixed if scope["method"] in ("GET", "HEAD") else _other_method(scope)
            return self._routed(segments)
        except BadPath as exc:
            return Problem(status=400, title="Bad path", detail=str(exc), error=f"BadPath: {exc}")

    def _routed(self, segments: tuple[str, ...]) -> _Chosen | Problem:
        match self._router.find(segments):
            case Match(index, params, plain):
                return _Chosen(self._routes[index], plain, params)
            case BadParameter(name, found, allowed):
                detail = f"{name}: found {found[:LONGEST_SHOWN]!r}; expected {allowed}"
                return Problem(status=422, title="Bad parameter", detail=detail, error="BadParameter")
            case NoMatch():
                detail = "no route has this path"
                return Problem(status=404, title="Not found", detail=detail, error="NoRoute")

    def _client(self, scope: Scope) -> _Client:
        """Who has sent the request, as far as it can be believed, also as text."""
        peer = scope.get("client")
        if peer is None:
            return None, None
        if not self._trusted:
            return _client_of(peer[0])
        names = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return _told(client_address(peer[0], names, self._trusted))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.opened():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except CannotOpen as exc:
            # Said when the others are closed again: a server may end at once when it hears it.
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have everything open that requests need, and be ready; raises `CannotOpen`.

        To be left by the task that entered it.
        """
        async with AsyncExitStack() as stack:
            for what, part in self._parts():
                await _enter(stack, what, part)
            self._ready = True
            try:
                yield
            finally:
                self.drain()

    def _parts(self) -> tuple[tuple[str, AbstractAsyncContextManager[Any]], ...]:
        verifiers: list[tuple[str, Verifier]] = [(f"auth {name!r}", v) for name, v in self._verifiers.items()]
        rates = (("limits", self._rates.of_clients), ("limits", self._rates.of_all))
        return (*rates, *self._origins.named, *verifiers)

    async def _readiness(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whether to send requests here. Whether each origin answers, the admin address says."""
        if self._ready:
            await _text("ready")(scope, receive, send)
        else:
            await Problem(status=503, title="Not ready").send(scope, send, _nobody)


class _Chosen(NamedTuple):
    """The route of a request, its path as the route spells it, and the values in it."""

    route: GuardedRoute
    segments: tuple[str, ...]
    params: dict[str, str]


async def _enter(stack: AsyncExitStack, what: str, part: AbstractAsyncContextManager[Any]) -> None:
    try:
        await stack.enter_async_context(part)
    except SluicegateError as exc:
        raise CannotOpen(f"cannot open {what}: {exc}") from exc


def _rates(config: Config, counters: Counters) -> Rates:
    return Rates(
        counters if config.limits.is_counted_here else config.limits.storage,
        on_failure=config.limits.on_failure,
        namespace=config.limits.namespace,
        # What is left would be a second question to Redis for each request.
        tell_remaining=config.limits.is_counted_here,
    )


def both(first: Observer, second: Observer) -> Observer:
    """An observer that tells two."""

    def observe(record: TransferRecord) -> None:
        first(record)
        second(record)

    return observe


def _nobody(record: TransferRecord) -> None:
    """Nobody is told of what load balancers ask all day."""


_Client = tuple[Address | None, str | None]


@lru_cache(maxsize=4096)
def _client_of(peer: str) -> _Client:
    return _told(parse_address(peer))


def _told(address: Address | None) -> _Client:
    return address, None if address is None else str(address)


def _text(content: str) -> ASGIApp:
    return Response(content, media_type="text/plain", headers={"cache-control": "no-store"})


def _other_method(scope: Scope) -> OwnAnswer:
    if scope["method"] == "OPTIONS":
        return OwnAnswer(status=204, fields=ALLOW)
    return Problem(status=405, fields=ALLOW)


def _secure_fields(config: Config) -> Fields:
    if config.tls is None or not config.tls.hsts_seconds:
        return ()
    return (("strict-transport-security", f"max-age={config.tls.hsts_seconds}"),)
