"""A configured route: who may ask it for what, how much, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from sluicegate import ObjectResponse, Source
from sluicegate.access.any_of import AnyOf
from sluicegate.access.base import UNVERIFIED_RETRY_SECONDS, AccessRequest, Address, Grant, Refusal, Verifier
from sluicegate.http.addresses import client_key
from sluicegate.http.cors import CorsPolicy, answer_fields, preflight_fields
from sluicegate.http.fields import Fields, filename_of
from sluicegate.http.paths import BadPath, canonical_path, has_control, has_dot_piece
from sluicegate.http.rate_fields import Allowance, Policy, rate_limit_fields
from sluicegate.observe import Observer

from .answers import OwnAnswer, Problem, adding, header, raw
from .config import Config, RouteConfig, UpstreamConfig
from .config.values import ApiKeyAuth
from .gates import Gate, Places, ProcessRates, TooMuch, refused, tighter
from .metrics import Metrics, Refused
from .targets import CLAIM_PREFIX, Placeholder

"""When to come again where nobody could be asked who may read."""

_COUNTED_AS: Final[Mapping[int, Refused]] = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    503: "unverifiable",
}


class NotAllowed(Exception):
    """What a route asks of a claim, a store or a key does not hold; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all routes of a configuration share."""

    config: Config
    observe: Observer
    metrics: Metrics
    rates: ProcessRates
    gateway: Gate


class Arrival(NamedTuple):
    """A request that has been routed: its path as the route spells it, the values in it, and who sent it."""

    scope: Scope
    segments: tuple[str, ...]
    params: dict[str, str]
    client: Address | None
    peer: str | None


class GuardedRoute:
    """A route: from a request to its answer. Its verifiers belong to the gateway, which opens them."""

    def __init__(
        self,
        route: RouteConfig,
        sources: Mapping[str, Source],
        verifiers: Mapping[str, Verifier],
        gate: Gate,
        shared: Shared,
    ) -> None:
        self.path = route.path.text
        self._route = route
        self._shared = shared
        limited = ((shared.gateway, shared.config.limits), (gate, route.limits))
        self._gates = tuple(one for one, limits in limited if not limits.is_none)
        self._verifier = AnyOf({name: verifiers[name] for name in route.auth}) if route.auth else None
        self._responses = {name: self._response(name, source) for name, source in sources.items()}
        self._methods = (*route.methods, "OPTIONS")
        self._allow: Fields = (("allow", ", ".join(self._methods)),)
        self._cors = _with_credentials(route, shared.config)
        self._is_upstream = isinstance(route.target, UpstreamConfig)
        template = route.target.template if isinstance(route.target, UpstreamConfig) else route.target
        self._claims = tuple(name for name in template.names if name.startswith(CLAIM_PREFIX))
        for name in sources:
            shared.metrics.declare(self.path, name or None)

    def _response(self, store: str, source: Source) -> ObjectResponse:
        route, shared = self._route, self._shared
        transfers, gateway = shared.config.transfers, shared.config.gateway
        return ObjectResponse(
            source,
            "",
            filename=route.filename,
            disposition=route.disposition,
            media_type=route.media_type,
            cache_control=route.cache_control,
            headers=dict(route.headers),
            active_content=route.active_content,
            denied_status=gateway.denied_status,
            max_ranges=shared.config.limits.max_ranges,
            observe=shared.observe,
            note_parked=shared.metrics.parked,
            server_timing=gateway.server_timing,
            route=self.path,
            store=store or None,
            min_drain_rate=transfers.min_drain_rate,
            min_drain_seconds=transfers.min_drain_seconds,
        )

    async def serve(self, arrival: Arrival, receive: Receive, send: Send) -> None:
        """Answer a request, and let the next one in when it is over."""
        send = self._finished(arrival.scope, send)
        method: str = arrival.scope["method"]
        if method == "OPTIONS":
            await self._answer(self._options(arrival.scope), arrival, send)
        elif method not in self._methods:
            await self._answer(Problem(status=405, fields=self._allow), arrival, send)
        else:
            self._shared.metrics.begin(self.path)
            try:
                await self._let_in(arrival, receive, send)
            finally:
                self._shared.metrics.end(self.path)

    async def _let_in(self, arrival: Arrival, receive: Receive, send: Send) -> None:
        """Count the request, see who it is, find room for it, and serve it."""
        if not self._gates and self._verifier is None:
            await self._send(_ANYBODY, "", arrival, receive, send)
            return
        client = client_key(arrival.peer)
        found = await self._counted(client)
        if isinstance(found, TooMuch):
            await self._turn_away(found, arrival, send)
            return
        send = adding(raw(found), send) if found else send
        grant = await self._granted(arrival)
        if isinstance(grant, Refusal):
            await self._refuse(grant, arrival, send)
            return
        if grant.cookie is not None:
            send = adding([(b"set-cookie", grant.cookie.encode("latin-1"))], send)
        # Who may not read takes nobody's place.
        with Places() as places:
            for gate in self._gates:
                if (too_much := gate.enter(client, places)) is not None:
                    await self._turn_away(too_much, arrival, send)
                    return
            await self._send(grant, client, arrival, receive, send)

    async def _counted(self, client: str) -> TooMuch | Fields:
        """Count the request by every rate; what to tell of what is left."""
        tightest: Allowance | None = None
        for gate in self._gates:
            for allowance in await gate.count(self._shared.rates, client):
                if not allowance.allowed:
                    return refused(allowance, self._policies)
                tightest = tighter(tightest, allowance)
        return () if tightest is None else rate_limit_fields(tightest, self._policies)

    @property
    def _policies(self) -> tuple[Policy, ...]:
        return tuple(policy for gate in self._gates for policy in gate.policies)

    async def _granted(self, arrival: Arrival) -> Grant | Refusal:
        if self._verifier is None:
            return _ANYBODY
        if self._is_upstream and "" in arrival.segments[:-1]:
            # Who may read `/a/b` would be asked about `/a//b`, and that is `/a/b` for many upstreams.
            return Refusal(reason="an empty segment, and the route leads to an upstream", status=400)
        request = AccessRequest.of(arrival.scope, canonical_path(arrival.segments), arrival.client)
        return await self._verifier.verify(request)

    async def _send(self, grant: Grant, client: str, arrival: Arrival, receive: Receive, send: Send) -> None:
        try:
            response, key = self._wanted(arrival.params, grant)
        except BadPath as exc:
            await self._answer(Problem(status=400, title="Bad path", detail=str(exc)), arrival, send)
            return
        except NotAllowed as exc:
            self._shared.metrics.refused(self.path, "forbidden")
            await self._answer(Problem(status=404, title="Not found", error=f"Refused: {exc}"), arrival, send)
            return
        throttles = [throttle for gate in reversed(self._gates) for throttle in gate.throttles(client)]
        named = response.of(
            key,
            filename=filename_of(unquote(key)) if self._is_upstream else None,
            save_as=grant.filename,
            client=arrival.peer,
            subject=grant.subject,
            throttles=throttles,
        )
        await named(arrival.scope, receive, send)

    def _wanted(self, params: dict[str, str], grant: Grant) -> tuple[ObjectResponse, str]:
        """The response to make, and the key that it is of; of an upstream, percent-encoded."""
        values = {**params, **self._claimed(grant)} if self._claims else params
        target = self._route.target
        if isinstance(target, UpstreamConfig):
            if grant.key is not None:
                raise NotAllowed("a key was granted, and the route leads to an upstream")
            path = target.template.render(values).removesuffix(target.template.query)
            return self._responses[""], path
        store, key = target.render(values)
        if isinstance(target.store, Placeholder) and store not in self._route.stores:
            raise NotAllowed(f"the store {store!r} is not one that the route may lead to")
        key = key if grant.key is None else grant.key
        prefixes = self._route.key_prefixes
        if prefixes and not key.startswith(prefixes):
            raise NotAllowed(f"the key {key!r} begins with none of the route's prefixes")
        return self._responses[store], key

    def _claimed(self, grant: Grant) -> dict[str, str]:
        """The claims that the target asks for. A claim fills one segment: nobody chooses a folder by it."""
        values = {}
        for name in self._claims:
            claim = name.removeprefix(CLAIM_PREFIX)
            value = grant.claims.get(claim)
            if not value or "/" in value or "\\" in value or has_control(value) or has_dot_piece(value):
                raise NotAllowed(f"the claim {claim!r} is not there, or no segment of a path")
            values[name] = value
        return values

    async def _refuse(self, refusal: Refusal, arrival: Arrival, send: Send) -> None:
        """Say no more than that it is not allowed; the log hears why."""
        self._shared.metrics.refused(self.path, _COUNTED_AS.get(refusal.status, "forbidden"))
        fields: Fields = ()
        if refusal.challenge is not None:
            fields = (("www-authenticate", refusal.challenge),)
        if refusal.status == 503:
            fields = (*fields, ("retry-after", str(UNVERIFIED_RETRY_SECONDS)))
        problem = Problem(status=refusal.status, fields=fields, error=f"Refused: {refusal.reason}")
        await self._answer(problem, arrival, send)

    async def _turn_away(self, too_much: TooMuch, arrival: Arrival, send: Send) -> None:
        self._shared.metrics.refused(self.path, too_much.counted_as)
        problem = Problem(status=too_much.status, fields=too_much.fields, error=f"Limited: {too_much.reason}")
        await self._answer(problem, arrival, send)

    async def _answer(self, answer: OwnAnswer, arrival: Arrival, send: Send) -> None:
        await answer.about(self.path, arrival.peer).send(arrival.scope, send, self._shared.observe)

    def _options(self, scope: Scope) -> OwnAnswer:
        """The answer to a browser that asks before it asks, and to whoever wants to know the methods."""
        policy, fields = self._cors, self._allow
        if policy is not None and header(scope, b"access-control-request-method") is not None:
            fields = (*fields, *preflight_fields(policy, header(scope, b"origin"), self._methods))
        return OwnAnswer(status=204, fields=fields)

    def _finished(self, scope: Scope, send: Send) -> Send:
        """`send`, with what every answer of the route tells a browser of who may read it."""
        policy = self._cors
        if policy is None or scope["method"] == "OPTIONS":
            return send
        return adding(raw(answer_fields(policy, header(scope, b"origin"))), send)


def _with_credentials(route: RouteConfig, config: Config) -> CorsPolicy | None:
    """The route's policy, which lets scripts send what the route's own credentials come in."""
    if route.cors is None:
        return None
    named = [config.auth[name] for name in route.auth]
    fields = [one.header.lower() for one in named if isinstance(one, ApiKeyAuth)]
    sent = tuple(dict.fromkeys((*route.cors.request_fields, *fields)))
    return replace(route.cors, request_fields=sent)


_ANYBODY: Final = Grant()
