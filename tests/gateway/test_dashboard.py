"""The dashboard asks for nothing that the gateway does not expose."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluicegate.gateway.metrics import Metrics

from .records import record

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json").read_text("utf-8"))

_METRIC = re.compile(r"\b((?:sluicegate|process)_[a-z_]+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!=|=)")
_BY = re.compile(r"by \(([^)]*)\)")

# What Prometheus adds to all that it scrapes.
SCRAPED = {"job", "instance"}


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query")


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """The labels of each sample that the gateway exposes."""
    metrics = Metrics("1.2.3")
    metrics(record())
    metrics.begin("/")
    metrics.refused("/", "forbidden")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.exposition().content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_query_asks_for_what_is_exposed(query: str, exposed: dict[str, set[str]]) -> None:
    asked = _METRIC.findall(query)
    assert asked
    for name, selector in asked:
        assert name in exposed
        assert set(_LABEL.findall(selector)) <= exposed[name] | SCRAPED
    grouped = {label.strip() for labels in _BY.findall(query) for label in labels.split(",")}
    assert grouped <= exposed[asked[0][0]] | SCRAPED
    assert query.count("(") == query.count(")")


def test_every_series_of_the_gateway_but_counts_and_sums_is_shown(exposed: dict[str, set[str]]) -> None:
    shown = {name for query in queries() for name, _ in _METRIC.findall(query)}
    ours = {name for name in exposed if name.startswith("sluicegate_")}
    assert {name for name in ours - shown if not name.endswith(("_count", "_sum", "_created"))} == set()


def test_every_panel_reads_from_the_chosen_data_source() -> None:
    (source,) = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "datasource"]
    chosen = {"type": source["query"], "uid": f"${{{source['name']}}}"}
    used: list[Any] = [panel["datasource"] for panel in DASHBOARD["panels"]]
    used += [target["datasource"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert all(one == chosen for one in used)


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
