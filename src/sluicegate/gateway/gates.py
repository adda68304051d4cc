"""How much is let in: transfers at once, requests in a time, bytes a second; of all and of each client."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Final, Literal

from sluicegate import Throttle
from sluicegate.access.base import Address
from sluicegate.access.crowd import Crowd
from sluicegate.access.rate_limits import RateLimit
from sluicegate.access.rates import Rates
from sluicegate.http.fields import Fields
from sluicegate.http.rate_fields import Allowance, Policy, rate_limit_fields

from .config import LimitsConfig

MAX_CLIENTS: Final = 16_384
"""Clients whose rate in bytes is remembered when they have nothing running: the ones that came last."""

RETRY_SECONDS: Final = 1
"""When to come again where too many are inside: nobody knows when one of them leaves."""

_ALL: Final = ""


@dataclass(frozen=True, slots=True)
class TooMuch:
    """A request that is not let in: the status of its answer, its fields, why, and what to count it under."""

    status: Literal[429, 503]
    reason: str
    counted_as: Literal["requests", "transfers", "unlimitable"]
    fields: Fields


class ClientThrottles:
    """A throttle for each client that has something running, and for the last ones that had."""

    def __init__(self, bytes_per_second: int) -> None:
        self.bytes_per_second = bytes_per_second
        self._throttles: OrderedDict[str, Throttle] = OrderedDict()

    def of(self, client: str) -> Throttle:
        """The throttle of a client."""
        throttle = self._throttles.get(client)
        if throttle is None:
            throttle = self._throttles[client] = Throttle(self.bytes_per_second)
            # One that is pushed out goes on for those who have it; the client's next transfer has another.
            if len(self._throttles) > MAX_CLIENTS:
                self._throttles.popitem(last=False)
        else:
            self._throttles.move_to_end(client)
        return throttle


class Gate:
    """The limits of a route, or of the gateway. Its counts stay when a new configuration changes them."""

    def __init__(self, name: str, label: Literal["gateway", "route"]) -> None:
        self.name = name
        self._label = label
        self._crowds: dict[Literal["all", "client"], Crowd] = {}
        self._throttle: Throttle | None = None
        self._client_throttles: ClientThrottles | None = None
        self._rates: tuple[tuple[RateLimit, bool], ...] = ()
        self.policies: tuple[Policy, ...] = ()

    def limit(self, limits: LimitsConfig) -> None:
        """Have these limits from now on."""
        self._limit_crowd("all", limits.transfers)
        self._limit_crowd("client", limits.client_transfers)
        self._limit_bytes(limits)
        rates = ((limits.requests, "all", False), (limits.client_requests, "client", True))
        self._rates = tuple(
            (RateLimit(text, f"{self._label}-{who}"), by_client) for text, who, by_client in rates if text
        )
        self.policies = tuple(policy for limit, _ in self._rates for policy in limit.policies)

    @property
    def is_open(self) -> bool:
        """Whether there is no limit."""
        return not (
            self._crowds or self._rates or self._throttle is not None or self._client_throttles is not None
        )

    def enter(self, client: str) -> TooMuch | None:
        """Count a transfer of a client, or say why not. Who has entered leaves, once."""
        everybody, one = self._crowds.get("all"), self._crowds.get("client")
        if everybody is not None and not everybody.enter(_ALL):
            return _crowded(503, f"{self.name}: {everybody.most} transfers at once")
        if one is not None and not one.enter(client):
            if everybody is not None:
                everybody.leave(_ALL)
            return _crowded(429, f"{self.name}: {one.most} transfers at once of one client")
        return None

    def leave(self, client: str) -> None:
        """Count a transfer less."""
        for who, crowd in self._crowds.items():
            key = _ALL if who == "all" else client
            # One that entered before there was a limit is not counted.
            if crowd.inside(key):
                crowd.leave(key)

    async def count(self, rates: Rates, client: str) -> Allowance | None:
        """Count a request; the allowance that refuses it, or has the least left; `None` without a rate."""
        tightest: Allowance | None = None
        for limit, by_client in self._rates:
            allowance = await rates.check(limit, f"{self.name}:{client if by_client else _ALL}")
            if not allowance.allowed:
                return allowance
            if tightest is None or (allowance.remaining or 0) < (tightest.remaining or 0):
                tightest = allowance
        return tightest

    def throttles(self, client: str) -> tuple[Throttle, ...]:
        """What the bytes of a client's transfer wait for: its own throttle, and then that of all."""
        own = () if self._client_throttles is None else (self._client_throttles.of(client),)
        return own if self._throttle is None else (*own, self._throttle)

    def _limit_crowd(self, who: Literal["all", "client"], most: int) -> None:
        if not most:
            self._crowds.pop(who, None)
        elif who in self._crowds:
            self._crowds[who].most = most
        else:
            self._crowds[who] = Crowd(most)

    def _limit_bytes(self, limits: LimitsConfig) -> None:
        if self._throttle is None or self._throttle.bytes_per_second != limits.bytes_per_second:
            self._throttle = Throttle(limits.bytes_per_second) if limits.bytes_per_second else None
        rate = limits.client_bytes_per_second
        if self._client_throttles is None or self._client_throttles.bytes_per_second != rate:
            self._client_throttles = ClientThrottles(rate) if rate else None


class Gates:
    """The gates of a process, by name: they outlive the configurations that say how narrow they are."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def of_gateway(self, limits: LimitsConfig) -> Gate:
        """The gate of all routes together, with these limits."""
        return self._limited(Gate("gateway", "gateway"), limits)

    def of_route(self, path: str, limits: LimitsConfig) -> Gate:
        """The gate of the route of this path, with these limits."""
        return self._limited(Gate(f"route {path}", "route"), limits)

    def _limited(self, new: Gate, limits: LimitsConfig) -> Gate:
        gate = self._gates.setdefault(new.name, new)
        gate.limit(limits)
        return gate


def refused(allowance: Allowance, policies: tuple[Policy, ...]) -> TooMuch:
    """The answer to a request that a rate does not allow."""
    fields = rate_limit_fields(allowance, policies)
    if allowance.is_away:
        return TooMuch(503, f"{allowance.policy.name}: requests cannot be counted", "unlimitable", fields)
    return TooMuch(429, f"{allowance.policy.name}: {allowance.limit} requests", "requests", fields)


def client_key(client: Address | None) -> str:
    """What a client is counted by. Of IPv6 it is the network that one subscriber has at least (RFC 6177)."""
    if client is None:
        return ""
    if client.version == 4:
        return str(client)
    return str(IPv6Network((int(client) >> 64 << 64, 64)))


def _crowded(status: Literal[429, 503], reason: str) -> TooMuch:
    return TooMuch(status, reason, "transfers", (("retry-after", str(RETRY_SECONDS)),))
