"""The gateway as an ASGI application: a configuration's routes, its documents, and its health."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sluicegate import (
    Budget,
    HttpOptions,
    ObjectResponse,
    OpenOutcome,
    OpenRequest,
    SluicegateError,
    Source,
    StoreOptions,
    TransferOptions,
    __version__,
    open_http,
    open_store,
)
from sluicegate.errors import MethodNotAllowed
from sluicegate.http.exchange import accepted_request_id, answer_problem
from sluicegate.http.fields import filename_of, is_valid_host
from sluicegate.observe import Observer

from .config import Config, RouteConfig, StoreConfig, UpstreamConfig
from .documents import documents
from .log import transfer_logger
from .routes import BadParameter, BadPath, Match, NoMatch, Router, canonical_segments

LONGEST_SHOWN: Final = 100
"""Characters of a bad parameter that its answer repeats."""

ALLOW: Final[Mapping[str, str]] = {"allow": ", ".join(MethodNotAllowed.allowed)}

NO_FIELDS: Final[Mapping[str, str]] = {}


class CannotOpen(SluicegateError):
    """A store or an upstream could not be opened when the gateway started; the message says which."""


class _Route:
    """A configured route: the response to all its requests, but for the key."""

    def __init__(self, route: RouteConfig, source: Source, config: Config, observe: Observer) -> None:
        self._target = route.target
        self._response = ObjectResponse(
            source,
            "",
            filename=route.filename,
            disposition=route.disposition,
            media_type=route.media_type,
            cache_control=route.cache_control,
            headers=dict(route.headers),
            denied_status=config.gateway.denied_status,
            observe=observe,
            route=route.path.text,
            store=None if isinstance(route.target, UpstreamConfig) else route.target.store,
            min_drain_rate=config.transfers.min_drain_rate,
            min_drain_seconds=config.transfers.min_drain_seconds,
        )

    def response(self, params: Mapping[str, str]) -> ObjectResponse:
        """The response for a request's values; raises `BadPath` if they lead to a dot segment."""
        target = self._target
        if isinstance(target, UpstreamConfig):
            path = target.template.render(params).removesuffix(target.template.query)
            return self._response.of(path, filename=filename_of(unquote(path)))
        _, key = target.render(params)
        return self._response.of(key)


class _Upstream(AbstractAsyncContextManager["_Upstream"]):
    """Another service as a source. Its query, which may hold a secret, is no part of any key.

    Keys are shown: in logs, and in file names.
    """

    def __init__(self, config: UpstreamConfig, transfers: TransferOptions, budget: Budget) -> None:
        options = HttpOptions(
            headers=dict(config.request_headers),
            tls_verify=config.tls_verify,
            connect_timeout=config.connect_timeout,
            read_timeout=config.read_timeout,
            encoded_keys=True,
        )
        self._query = config.template.query
        self._http = open_http(config.template.base_url, options, transfers=transfers, budget=budget)

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


class Gateway:
    """An ASGI application. Its sources are opened when the server starts it, and closed when it stops.

    `observe` is called once for each transfer; by default it writes the transfer's line to the log.
    """

    def __init__(self, config: Config, observe: Observer | None = None) -> None:
        options, budget = config.transfers.options, Budget(config.transfers.read_ahead_total)
        self._stores = {name: _open_store(store, options, budget) for name, store in config.stores.items()}
        upstreams: dict[UpstreamConfig, Source] = {}
        for route in config.routes:
            if isinstance(route.target, UpstreamConfig) and route.target not in upstreams:
                upstreams[route.target] = _Upstream(route.target, options, budget)
        observer = observe or transfer_logger()
        self._routes = tuple(
            _Route(route, self._source(route, upstreams), config, observer) for route in config.routes
        )
        self._sources = (
            *((f"store {name!r}", source) for name, source in self._stores.items()),
            *((f"upstream {target.template.base_url}", source) for target, source in upstreams.items()),
        )
        self._router = Router(route.path for route in config.routes)
        self._ready = False
        fixed: dict[str, ASGIApp] = {
            "/healthz": _text("ok"),
            "/readyz": self._readiness,
            **(documents(config, __version__) if config.gateway.openapi else {}),
        }
        self._fixed = {canonical_segments(path.encode()): app for path, app in fixed.items()}

    def _source(self, route: RouteConfig, upstreams: Mapping[UpstreamConfig, Source]) -> Source:
        if isinstance(route.target, UpstreamConfig):
            return upstreams[route.target]
        return self._stores[route.target.store]

    def drain(self) -> None:
        """Be ready for nothing new. What is under way goes on."""
        self._ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server's, or its lifespan."""
        if scope["type"] == "http":
            chosen = self._choose(scope)
            # An object names its request itself: in its answer, its log, and to its origin.
            named = send if isinstance(chosen, ObjectResponse) else _naming(_request_id(scope), send)
            await chosen(scope, receive, named)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _choose(self, scope: Scope) -> ASGIApp:
        """The response to a request. Nothing is asked of a source yet."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if not is_valid_host(hosts, scope["http_version"]):
            return _problem(scope, 400, "Bad request", "exactly one valid Host header field is needed")
        path = _raw_path(scope)
        try:
            segments = canonical_segments(path)
            fixed = self._fixed.get(segments)
            if fixed is not None:
                return fixed if scope["method"] in ("GET", "HEAD") else _other_method(scope)
            match self._router.find(segments):
                case Match(index, params):
                    return self._routes[index].response(params)
                case BadParameter(name, found, allowed):
                    detail = f"{name}: found {found[:LONGEST_SHOWN]!r}; expected {allowed}"
                    return _problem(scope, 422, "Bad parameter", detail)
                case NoMatch():
                    return _problem(scope, 404, "Not found", "no route has this path")
        except BadPath as exc:
            return _problem(scope, 400, "Bad path", str(exc))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with AsyncExitStack() as stack:
                for what, source in self._sources:
                    await _enter(stack, what, source)
                self._ready = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
                self._ready = False
        except CannotOpen as exc:
            # Said when the others are closed again: a server may end at once when it hears it.
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _readiness(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _text("ready") if self._ready else _problem(scope, 503, "Not ready", None)
        await answer(scope, receive, send)


async def _enter(stack: AsyncExitStack, what: str, source: Source) -> None:
    try:
        await stack.enter_async_context(source)
    except SluicegateError as exc:
        raise CannotOpen(f"cannot open {what}: {exc}") from exc


def _open_store(store: StoreConfig, transfers: TransferOptions, budget: Budget) -> Source:
    options = asdict(store)
    url, client = options.pop("url"), options.pop("client")
    del options["name"]
    return open_store(url, StoreOptions(**options), client=client, transfers=transfers, budget=budget)


def _raw_path(scope: Scope) -> bytes:
    """The path as the client sent it, below the place where the gateway is mounted."""
    path: bytes = scope["raw_path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root.encode()) or b"/"


def _text(content: str) -> ASGIApp:
    return Response(content, media_type="text/plain", headers={"cache-control": "no-store"})


def _other_method(scope: Scope) -> ASGIApp:
    if scope["method"] == "OPTIONS":
        return Response(status_code=204, headers=ALLOW)
    return _problem(scope, 405, "Method not allowed", None, ALLOW)


def _problem(
    scope: Scope,
    status: int,
    title: str,
    detail: str | None,
    fields: Mapping[str, str] = NO_FIELDS,
) -> ASGIApp:
    problem = answer_problem(status, title, _request_id(scope), detail=detail)
    return Response(problem.content, problem.head.status, {**dict(problem.head.fields), **fields})


def _request_id(scope: Scope) -> str:
    """The client's request id if it is harmless, else a new one."""
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"]
    return accepted_request_id(", ".join(given)) or secrets.token_hex(8)


def _naming(request_id: str, send: Send) -> Send:
    """`send`, with the request's id in the head that has none."""

    async def named(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("x-request-id", request_id)
        await send(message)

    return named
