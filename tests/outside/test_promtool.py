"""/metrics as those read it who scrape it: by the parsers of prometheus_client, in both formats, after mixed
traffic, a reload, and the violent end of a worker.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from tests.gateway.test_cli_serve import Served, serving
from tests.gateway.test_relay_upstream import raw_upstream
from tests.servers.process import free_port

WAIT_SECONDS = 20.0
"""For what takes a moment: longer is a hang."""

CONTENT = bytes(200_000)

CONFIG = """
[admin]
address = "127.0.0.1:ADMIN"

[auth.links]
type = "signed"
keys = { k1 = "0123456789-0123456789-0123456789-0123456789" }

[defaults]
auth = "public"

[stores.files]
url = "file://./objects"

[stores.'other-1']
url = "memory://"

[[routes]]
path = "/files/{key:path}"
object = "files:{key}"

[[routes]]
path = '/odd "name"\\with\\escapes/{key}'
object = "other-1:{key}"

[[routes]]
path = "/links/{key:path}"
object = "files:{key}"
auth = "links"

[[routes]]
path = "/few/{key:path}"
object = "files:{key}"
limits = { client_transfers = 2, requests = "1/day" }

[[routes]]
path = "/upstream/{key:path}"
upstream = "UPSTREAM/{key}"
"""

Labels = frozenset[tuple[str, str]]
Series = Mapping[tuple[str, Labels], float]
Parse = Callable[[str], Iterable[Metric]]

FORMATS: dict[str, tuple[str, str, Parse]] = {
    "plain": ("text/plain", "text/plain; version=0.0.4", plain_text),
    "openmetrics": (
        "application/openmetrics-text; version=1.0.0",
        "application/openmetrics-text",
        open_metrics,
    ),
}


@dataclass(frozen=True, slots=True)
class Counted:
    """A gateway, and where its numbers are."""

    gateway: Served
    metrics: str

    def scrape(self, form: str = "plain") -> str:
        accept, kind, _ = FORMATS[form]
        answer = httpx.get(self.metrics, headers={"accept": accept}, trust_env=False, verify=False)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        return answer.text

    def families(self, form: str = "plain") -> list[Metric]:
        return list(FORMATS[form][2](self.scrape(form)))

    def counters(self) -> Series:
        """All that must never go down, the buckets of histograms among it."""
        rising = [family for family in self.families() if family.type in ("counter", "histogram")]
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in rising
            for sample in family.samples
            if family.name.startswith("sluicegate_") and not sample.name.endswith("_created")
        }

    def requests(self) -> float:
        return sum(
            value for (name, _), value in self.counters().items() if name == "sluicegate_requests_total"
        )

    def workers(self) -> set[int]:
        """The processes that count."""
        return {
            int(sample.labels["pid"])
            for family in self.families()
            for sample in family.samples
            if "pid" in sample.labels
        }


@pytest.fixture(params=["1", "2"], ids=["one-worker", "two-workers"])
def counted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counted]:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "a.bin").write_bytes(CONTENT)
    config = tmp_path / "sluicegate.toml"
    admin = free_port()
    with ExitStack() as stack:
        upstream = stack.enter_context(raw_upstream())
        upstream.answers["/short"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
        upstream.answers["/busy"] = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        config.write_text(CONFIG.replace("ADMIN", str(admin)).replace("UPSTREAM", upstream.url))
        gateway = stack.enter_context(serving(config, "--workers", request.param))
        yield Counted(gateway, f"http://127.0.0.1:{admin}/metrics")


# What is asked for, with the status that it gets; None for an answer that is cut.
TRAFFIC: list[tuple[str, str, dict[str, str], int | None]] = [
    ("GET", "/files/a.bin", {}, 200),
    ("HEAD", "/files/a.bin", {}, 200),
    ("GET", "/files/a.bin", {"range": "bytes=0-99"}, 206),
    ("GET", "/files/a.bin", {"range": "bytes=0-9,50-59"}, 206),
    ("GET", "/files/a.bin", {"range": "bytes=900000-"}, 416),
    ("GET", "/files/a.bin", {"if-match": '"other"'}, 412),
    ("GET", "/files/none", {}, 404),
    ("PUT", "/files/a.bin", {}, 405),
    ("PROPFIND", "/files/a.bin", {}, 405),
    ("GET", "/files/%2e%2e", {}, 400),
    ("GET", "/none", {}, 404),
    ("GET", "/odd%20%22name%22%5Cwith%5Cescapes/x", {}, 404),
    ("GET", "/links/a.bin", {}, 403),
    ("GET", "/upstream/short", {}, None),
    ("GET", "/upstream/none", {}, 200),
]


def send_traffic(url: str, times: int = 3) -> int:
    """Ask for everything, on a connection for each time; how many requests that were."""
    for _ in range(times):
        with httpx.Client(base_url=url, trust_env=False) as client:
            for method, path, fields, status in TRAFFIC:
                assert status_of(client, method, path, fields) == status, f"{method} {path} {fields}"
    return times * len(TRAFFIC)


def status_of(client: httpx.Client, method: str, path: str, fields: dict[str, str]) -> int | None:
    # As it was written: the client would resolve dot segments.
    request = client.build_request(method, path, headers=fields)
    request.url = request.url.copy_with(raw_path=path.encode())
    try:
        return client.send(request).status_code
    except httpx.RemoteProtocolError:
        return None


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds: a request is counted when it is over, which its client sees before."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {WAIT_SECONDS} s still not: {what}"
        time.sleep(0.02)


def test_numbers_of_mixed_traffic_parse_and_are_consistent(counted: Counted) -> None:
    sent = send_traffic(counted.gateway.url)
    wait_until("every request is counted", lambda: counted.requests() == sent)
    for form in FORMATS:
        families = counted.families(form)
        assert_consistent(families, form)
        found = {
            sample.labels["status"]
            for family in families
            for sample in family.samples
            if sample.name == "sluicegate_requests_total"
        }
        assert found >= {str(status) for *_, status in TRAFFIC if status is not None}


def assert_consistent(families: list[Metric], form: str) -> None:
    """What `promtool check metrics` looks at, as far as the parser does not."""
    assert repeated(family.name for family in families) == []
    samples = [sample for family in families for sample in family.samples]
    assert repeated((sample.name, frozenset(sample.labels.items())) for sample in samples) == []
    for family in families:
        assert family.documentation, f"{family.name} has no HELP"
        assert family.type != "unknown", f"{family.name} has no TYPE"
        if family.type == "counter":
            names = {sample.name for sample in family.samples}
            assert all(name.endswith(("_total", "_created")) for name in names), f"{form}: {names}"
        if family.type == "histogram":
            assert_cumulative(family)


def repeated(items: Iterable[object]) -> list[object]:
    return [item for item, times in Counter(items).items() if times > 1]


def assert_cumulative(family: Metric) -> None:
    """Buckets rise to the count, which the last one, of everything, is."""
    buckets: dict[Labels, list[tuple[float, float]]] = {}
    counts: dict[Labels, float] = {}
    for sample in family.samples:
        labels = frozenset((key, value) for key, value in sample.labels.items() if key != "le")
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    assert buckets.keys() == counts.keys()
    for labels, found in buckets.items():
        values = [value for _, value in sorted(found)]
        assert values == sorted(values)
        assert values[-1] == counts[labels]


def test_counters_do_not_go_down_over_a_reload(counted: Counted) -> None:
    sent = send_traffic(counted.gateway.url)
    wait_until("every request is counted", lambda: counted.requests() == sent)
    before = counted.counters()
    admin = urlsplit(counted.metrics)._replace(path="/reload").geturl()
    assert httpx.post(admin, trust_env=False, timeout=WAIT_SECONDS).status_code == 200
    after = counted.counters()
    assert fallen(before, after) == []
    assert after[("sluicegate_reloads_total", frozenset({("result", "applied")}))] >= 1
    sent += send_traffic(counted.gateway.url)
    wait_until("every request is counted", lambda: counted.requests() == sent)
    assert fallen(before, counted.counters()) == []


@pytest.mark.parametrize("counted", ["2"], indirect=True, ids=["two-workers"])
def test_counters_do_not_go_down_over_a_killed_worker(counted: Counted) -> None:
    wait_until("both workers count", lambda: len(counted.workers()) == 2)
    sent = send_traffic(counted.gateway.url)
    wait_until("every request is counted", lambda: counted.requests() == sent)
    before, workers = counted.counters(), counted.workers()
    victim = min(workers)
    os.kill(victim, signal.SIGKILL)
    # Scraped all the while, also while its numbers are added to those of the ended ones.
    low = list[object]()

    def replaced() -> bool:
        low.extend(fallen(before, counted.counters()))
        now = counted.workers()
        return victim not in now and len(now) == 2

    wait_until("another worker counts in its place", replaced)
    assert low == []
    sent += send_traffic(counted.gateway.url)
    wait_until("every request is counted", lambda: counted.requests() == sent)
    assert fallen(before, counted.counters()) == []
    for form in FORMATS:
        assert_consistent(counted.families(form), form)
    assert "Traceback" not in counted.gateway.log.read_text()


def fallen(before: Series, after: Series) -> list[object]:
    """The series that have become less, or are gone."""
    return [(name, value, after.get(name)) for name, value in before.items() if after.get(name, -1) < value]
