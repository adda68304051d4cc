"""What the access benchmark compares: the same objects, one gateway open and the others guarded."""

import pytest

from bench.access import load_rows
from bench.checks import CLIENT, RECORD, SIGNED_LINK, asking, measured, scope
from bench.configurations import KEY, KEY_ID, MOST_TRANSFERS, guarded, open_to_all, signed
from bench.load import Load
from bench.measure import WrongAnswer
from bench.origins import PATH, as_store
from bench.unmeasured import Unmeasured
from sluicegate.access.base import AccessRequest, Grant
from sluicegate.access.links import SignedLinks
from sluicegate.gateway.config import parse_config
from sluicegate.gateway.config.verifiers import verifier_of
from sluicegate.gateway.metrics import Metrics

STORE = as_store("http://127.0.0.1:9", 1)


def test_open_gateway_asks_and_counts_nobody() -> None:
    config = parse_config(open_to_all(STORE), {})

    assert [route.auth for route in config.routes] == [()]
    assert (config.limits.client_transfers, config.limits.client_requests) == (0, None)


def test_guarded_gateway_counts_where_it_is_told() -> None:
    config = parse_config(guarded(STORE, "redis://127.0.0.1:6379", generation=7), {})

    assert [(route.auth, route.headers) for route in config.routes] == [
        (("links",), (("x-generation", "7"),))
    ]
    assert config.limits.client_transfers == MOST_TRANSFERS
    assert config.limits.client_requests is not None
    assert config.limits.storage == "redis://127.0.0.1:6379"


async def test_guarded_gateway_takes_the_links_that_are_made_for_it() -> None:
    links = verifier_of(parse_config(guarded(STORE), {}).auth["links"])
    path, _, query = signed(PATH).partition("?")

    verdict = await links.verify(AccessRequest("GET", path, query, (), CLIENT))

    assert verdict == Grant(subject=KEY_ID)


async def test_every_check_has_a_cost() -> None:
    costs = await measured(times=2, rounds=2)

    assert costs[0].name == SIGNED_LINK
    assert all(0 < cost.lowest <= cost.median <= cost.highest for cost in costs)


async def test_check_that_refuses_is_not_timed() -> None:
    with pytest.raises(WrongAnswer, match="SignedLinks refused: no link"):
        await asking(SignedLinks({KEY_ID: KEY}), scope())()


def test_rows_are_compared_with_the_first() -> None:
    first = [Load(1000, 1.0, 0.01, 0.02, 0.5), Load(2000, 1.0, 0.01, 0.02, 1.0)]
    own = [Load(1200, 1.0, 0.01, 0.03, 0.9), Load(1200, 1.0, 0.01, 0.05, 0.9)]

    assert load_rows({"a": first, "b": own}) == [
        ("a", 1500, 1000, 2000, 20.0, 500.0, 1.0, 1.0),
        ("b", 1200, 1200, 1200, 40.0, 750.0, 0.8, 1.5),
    ]


def test_unmeasured_gateway_counts_nothing_of_requests() -> None:
    metrics = Unmeasured("1")
    metrics.begin("/")
    metrics(RECORD)
    metrics.end("/")
    metrics.parked(1)
    metrics.refused("/", "forbidden")
    metrics.connected(1)

    lines = metrics.exposition().content.decode().splitlines()
    assert not [line for line in lines if line.startswith(("sluicegate_requests", "sluicegate_refused"))]
    assert {"sluicegate_parked 0.0", "sluicegate_connections 0.0"} <= set(lines)


def test_unmeasured_gateway_leaves_out_all_that_is_done_for_a_request() -> None:
    said = {name for name in vars(Metrics) if not name.startswith("_")} | {"__call__"}

    assert said - set(vars(Unmeasured)) == {"declare", "exposition", "loaded", "reloaded"}
