"""How much is let in: transfers at once, requests in a time, bytes a second; of all and of each client."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal, Self

from sluicegate import Throttle
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


class Places:
    """Where a transfer is counted: left when the block ends, whatever has become of the limits meanwhile."""

    def __init__(self) -> None:
        self._taken: list[tuple[Crowd, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for crowd, key in self._taken:
            crowd.leave(key)

    def take(self, crowd: Crowd, key: str) -> bool:
        """Count one of `key`, if there is room."""
        if not crowd.enter(key):
            return False
        self._taken.append((crowd, key))
        return True


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

    def enter(self, client: str, places: Places) -> TooMuch | None:
        """Count a transfer of a client, and note in `places` where; or say why not."""
        everybody, one = self._crowds.get("all"), self._crowds.get("client")
        if everybody is not None and not places.take(everybody, _ALL):
            return _crowded(503, f"{self.name}: {everybody.most} transfers at once")
        if one is not None and not places.take(one, client):
            return _crowded(429, f"{self.name}: {one.most} transfers at once of one client")
        return None

    async def count(self, rates: ProcessRates, client: str) -> list[Allowance]:
        """Count a request by one rate after another, up to the first that refuses it."""
        allowances: list[Allowance] = []
        for limit, by_client in self._rates:
            counting = rates.of_clients if by_client else rates.of_all
            allowances.append(await counting.check(limit, f"{self.name}:{client if by_client else _ALL}"))
            if not allowances[-1].allowed:
                break
        return allowances

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
    """The gates of a process, by name: they outlive the configurations that say how narrow they are.

    They are as narrow as `Gate.limit` has said last, which is for the configuration that is in place.
    """

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def of_gateway(self) -> Gate:
        """The gate of all routes together."""
        return self._gates.setdefault("gateway", Gate("gateway", "gateway"))

    def of_route(self, path: str) -> Gate:
        """The gate of the route of this path."""
        name = f"route {path}"
        return self._gates.setdefault(name, Gate(name, "route"))


@dataclass(frozen=True, slots=True)
class ProcessRates:
    """What counts requests in a time. Where that is in memory, those of all clients together are counted in a
    table of their own, from which no number of clients pushes them out.
    """

    of_clients: Rates
    of_all: Rates


def tighter(one: Allowance | None, other: Allowance) -> Allowance:
    """Which of two allowances has less left; what is not known is not less."""
    if one is None or one.remaining is None:
        return other
    return other if other.remaining is not None and other.remaining < one.remaining else one


def refused(allowance: Allowance, policies: tuple[Policy, ...]) -> TooMuch:
    """The answer to a request that a rate does not allow."""
    fields = rate_limit_fields(allowance, policies)
    if allowance.is_away:
        return TooMuch(503, f"{allowance.policy.name}: requests cannot be counted", "unlimitable", fields)
    return TooMuch(429, f"{allowance.policy.name}: {allowance.limit} requests", "requests", fields)


def _crowded(status: Literal[429, 503], reason: str) -> TooMuch:
    return TooMuch(status, reason, "transfers", (("retry-after", str(RETRY_SECONDS)),))
