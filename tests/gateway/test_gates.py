"""How much is let in, over the life of a process: what a new configuration changes, and what it does not."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx

from sluicegate.access.counters import Counters
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import LimitsConfig, parse_config
from sluicegate.gateway.gates import MAX_CLIENTS, ClientThrottles, Gates, Places, TooMuch, tighter
from sluicegate.gateway.live import LiveGateway
from sluicegate.gateway.metrics import Metrics
from sluicegate.gateway.process_state import ProcessState
from sluicegate.http.rate_fields import Allowance, Policy

SECRET = "0123456789-0123456789-0123456789-0123456789"
ROUTE = '[stores.s]\nurl = "memory://"\n[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\n'
LINKS = f'[auth.links]\ntype = "signed"\nkeys = {{ k = "{SECRET}" }}\n[defaults]\nauth = "links"\n'


def entered(gates: Gates, client: str, places: Places) -> int | None:
    refused = gates.of_gateway().enter(client, places)
    return refused.status if isinstance(refused, TooMuch) else None


def test_places_are_of_all_and_of_each_client() -> None:
    gates = Gates()
    gates.of_gateway().limit(LimitsConfig(transfers=3, client_transfers=2))
    statuses = []
    with ExitStack() as inside:
        for who in "aaabb":
            with ExitStack() as request:
                statuses.append(entered(gates, who, request.enter_context(Places())))
                if statuses[-1] is None:
                    inside.push(request.pop_all())
    assert statuses == [None, None, 429, None, 503]


def test_places_are_free_again() -> None:
    gates = Gates()
    gates.of_gateway().limit(LimitsConfig(client_transfers=1))
    for _ in range(3):
        with Places() as places:
            assert entered(gates, "a", places) is None


def test_who_entered_before_a_limit_takes_no_place_of_others_with_it() -> None:
    gates = Gates()
    with Places() as others:
        with Places() as early:
            assert entered(gates, "a", early) is None
            gates.of_gateway().limit(LimitsConfig(transfers=1))
            assert entered(gates, "b", others) is None
        with Places() as late:
            assert entered(gates, "c", late) == 503


def test_a_limit_that_changes_counts_who_is_inside() -> None:
    gates = Gates()
    gates.of_gateway().limit(LimitsConfig(transfers=2))
    with Places() as places:
        assert [entered(gates, "a", places) for _ in range(2)] == [None, None]
        gates.of_gateway().limit(LimitsConfig(transfers=1))
        assert entered(gates, "b", places) == 503


def test_throttles_of_clients_are_bounded() -> None:
    throttles = ClientThrottles(4096)
    first = throttles.of("first")
    assert throttles.of("first") is first
    for number in range(MAX_CLIENTS):
        throttles.of(str(number))
    assert throttles.of("first") is not first


def test_the_allowance_with_the_least_left_is_told() -> None:
    def allowance(remaining: int | None) -> Allowance:
        return Allowance(allowed=True, policy=Policy("p", 9, 1), remaining=remaining, reset_seconds=0.0)

    least: Allowance | None = None
    for remaining in (5, None, 2, 7):
        least = tighter(least, allowance(remaining))
    assert least == allowance(2)


def state_of_one_moment(*, has_siblings: bool = False) -> ProcessState:
    """The state of a process in which no time goes by for rates: no window ends while a test counts in it."""

    def counters() -> Counters:
        return Counters(lambda: 36_000.0)

    return ProcessState(
        Metrics("1"), client_counters=counters(), common_counters=counters(), has_siblings=has_siblings
    )


@asynccontextmanager
async def live(text: str, state: ProcessState) -> AsyncIterator[tuple[LiveGateway, httpx.AsyncClient]]:
    def made(config: Any) -> Gateway:
        return Gateway(config, lambda record: None, state)

    gateway = LiveGateway(made(parse_config(text, {})), made)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://gateway") as client:
        await gateway._enter(gateway._current)
        gateway._current.gateway.take_over()
        try:
            yield gateway, client
        finally:
            await gateway._close()


async def test_a_configuration_that_is_given_up_changes_no_limit() -> None:
    state = state_of_one_moment()
    async with live(f'[limits]\nrequests = "2/hour"\n{ROUTE}', state) as (gateway, client):
        await gateway.prepare(parse_config(f'[limits]\nrequests = "1/hour"\n{ROUTE}', {}))
        gateway.abandon()
        assert [(await client.get("/a")).status_code for _ in range(3)] == [404, 404, 429]


async def test_uses_of_a_link_are_counted_over_a_reload() -> None:
    link = SignedLinks({"k": SECRET}).link("/a", 60, LinkClaims(uses=1))
    async with live(LINKS + ROUTE, state_of_one_moment()) as (gateway, client):
        before = (await client.get(link)).status_code
        await gateway.replace(parse_config(LINKS + ROUTE, {}))
        assert (before, (await client.get(link)).status_code) == (404, 403)


async def test_uses_are_refused_where_each_process_would_allow_all() -> None:
    link = SignedLinks({"k": SECRET}).link("/a", 60, LinkClaims(uses=1))
    async with live(LINKS + ROUTE, state_of_one_moment(has_siblings=True)) as (_, client):
        assert (await client.get(link)).status_code == 503


async def test_who_may_not_read_takes_nobodys_place() -> None:
    text = f"[limits]\ntransfers = 1\n{LINKS}{ROUTE}"
    async with live(text, state_of_one_moment()) as (_, client):
        link = SignedLinks({"k": SECRET}).link("/a", 60)
        statuses = [(await client.get(target)).status_code for target in ("/a", "/a", link, "/a", link)]
        assert statuses == [403, 403, 404, 403, 404]


async def test_the_tightest_rate_of_all_is_told() -> None:
    text = f'[limits]\nclient_requests = "3/hour"\n{ROUTE}limits = {{ requests = "100/hour" }}\n'
    async with live(text, state_of_one_moment()) as (_, client):
        answer = await client.get("/a")
    assert answer.headers["ratelimit"].startswith('"gateway-client";r=2;')
    assert answer.headers["ratelimit-policy"] == '"gateway-client";q=3;w=3600, "route-all";q=100;w=3600'
