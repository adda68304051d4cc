"""What the gateway counts, as Prometheus reads it: of one process, and of several that are replaced."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from sluicegate import Outcome
from sluicegate.gateway.metrics import CannotMeasure, Metrics
from sluicegate.gateway.shared_metrics import VARIABLE, SharedNumbers, add_ended, shared_folder

from .records import record

ROUTE = "/files/{key:path}"
HERE = {"route": ROUTE, "store": "images"}
WHOLE = {**HERE, "method": "GET", "status": "200", "outcome": "complete"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: bytes, read_families: Any = parser.text_string_to_metric_families) -> Samples:
    """The samples of an exposition by name and labels, but for when they were created."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def samples(metrics: Metrics) -> Samples:
    return read(metrics.exposition().content)


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"sluicegate_{name}", tuple(sorted(labels.items()))]


def test_transfer_is_counted_with_what_it_cost() -> None:
    metrics = Metrics("1.2.3")
    for _ in range(2):
        metrics(record(requests=3, resumes=1, retries=1, parkings=4, origin_bytes=30_000))
    found = samples(metrics)
    counts = {
        name: value(found, name, **HERE)
        for name in (
            *("sent_bytes_total", "origin_bytes_total", "origin_requests_total"),
            *("resumes_total", "retries_total", "parkings_total"),
        )
    }
    assert value(found, "requests_total", **WHOLE) == 2
    assert counts == {
        "sent_bytes_total": 40_960,
        "origin_bytes_total": 60_000,
        "origin_requests_total": 6,
        "resumes_total": 2,
        "retries_total": 2,
        "parkings_total": 8,
    }


def test_times_fall_into_buckets() -> None:
    metrics = Metrics("1.2.3")
    metrics(record(first_byte_seconds=0.004, duration_seconds=1800.0))
    metrics(record(first_byte_seconds=None, duration_seconds=0.0004))
    found = samples(metrics)
    assert value(found, "first_byte_seconds_count", **HERE) == 1
    assert value(found, "first_byte_seconds_bucket", le="0.0025", **HERE) == 0
    assert value(found, "first_byte_seconds_bucket", le="0.005", **HERE) == 1
    assert value(found, "transfer_seconds_bucket", le="0.001", **HERE) == 1
    assert value(found, "transfer_seconds_bucket", le="900.0", **HERE) == 1
    assert value(found, "transfer_seconds_bucket", le="3600.0", **HERE) == 2
    assert value(found, "transfer_seconds_sum", **HERE) == pytest.approx(1800.0004)


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        pytest.param({"method": "PUT", "status": 405}, {"method": "other", "status": "405"}, id="method"),
        pytest.param({"method": "é\n\"'"}, {"method": "other"}, id="method-of-an-attacker"),
        pytest.param({"status": None, "outcome": Outcome.CLIENT_GONE}, {"outcome": "client_gone"}, id="gone"),
        pytest.param({"route": None, "store": None}, {"route": "", "store": ""}, id="nowhere"),
        pytest.param({"outcome": Outcome.ORIGIN_FAILED}, {"outcome": "origin_failed"}, id="cut"),
    ],
)
def test_labels_of_a_transfer(changes: dict[str, Any], labels: dict[str, str]) -> None:
    metrics = Metrics("1.2.3")
    metrics(record(**changes))
    status = {"status": ""} if changes.get("status", 0) is None else {}
    assert value(samples(metrics), "requests_total", **{**WHOLE, **status, **labels}) == 1


def test_clients_make_no_series() -> None:
    metrics = Metrics("1.2.3")
    metrics(record())
    before = len(samples(metrics))
    for number in range(50):
        metrics(
            record(method=f"M{number}", key=f"k{number}", client=f"192.0.2.{number}", subject=f"{number}")
        )
    # One more: that of all other methods.
    assert len(samples(metrics)) == before + 1


def test_what_goes_on_is_counted_up_and_down() -> None:
    metrics = Metrics("1.2.3")
    for _ in range(3):
        metrics.begin(ROUTE)
    metrics.end(ROUTE)
    metrics.parked(1)
    metrics.parked(1)
    metrics.parked(-1)
    found = samples(metrics)
    assert (value(found, "in_flight", route=ROUTE), value(found, "parked")) == (2, 1)


def test_refusals_and_reloads_are_counted_by_reason_and_result() -> None:
    metrics = Metrics("1.2.3")
    metrics.refused(ROUTE, "forbidden")
    metrics.refused(None, "bad_request")
    metrics.reloaded("invalid")
    found = samples(metrics)
    assert value(found, "refused_total", route=ROUTE, reason="forbidden") == 1
    assert value(found, "refused_total", route="", reason="bad_request") == 1
    assert value(found, "reloads_total", result="invalid") == 1
    assert value(found, "reloads_total", result="applied") == 0


def test_time_of_the_configuration_is_that_when_it_was_loaded_in_this_process() -> None:
    metrics = Metrics("1.2.3")
    first = value(samples(metrics), "config_loaded_timestamp_seconds")
    # That of several processes one counts says nothing of the others.
    metrics.reloaded("invalid")
    metrics.reloaded("applied")
    assert value(samples(metrics), "config_loaded_timestamp_seconds") == first
    metrics.loaded()
    assert value(samples(metrics), "config_loaded_timestamp_seconds") > first


def test_series_of_a_route_begin_at_zero() -> None:
    metrics = Metrics("1.2.3")
    metrics.declare(ROUTE, "images")
    found = samples(metrics)
    assert value(found, "resumes_total", **HERE) == value(found, "in_flight", route=ROUTE) == 0


def test_process_and_version_are_exposed() -> None:
    found = samples(Metrics("1.2.3"))
    assert value(found, "build_info", version="1.2.3") == 1
    assert found["process_resident_memory_bytes", ()] > 1_000_000
    assert found["process_cpu_seconds_total", ()] > 0


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param("", "text/plain; version=0.0.4; charset=utf-8", id="nothing"),
        pytest.param("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8", id="text"),
        pytest.param("*/*", "text/plain; version=0.0.4; charset=utf-8", id="anything"),
        pytest.param(
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            id="openmetrics",
        ),
        pytest.param(
            f"{OPENMETRICS};q=0.5,text/plain;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            id="as-prometheus-asks",
        ),
    ],
)
def test_format_is_the_one_that_is_accepted(accept: str, media_type: str) -> None:
    assert Metrics("1.2.3").exposition(accept).media_type == media_type


@pytest.mark.parametrize(
    "accept", ["text/plain;version=x", "text/plain;version=", "é;;,=,", f"{OPENMETRICS}x"]
)
def test_any_accept_field_is_answered(accept: str) -> None:
    assert b"sluicegate_build_info" in Metrics("1.2.3").exposition(accept).content


def test_openmetrics_says_the_same() -> None:
    metrics = Metrics("1.2.3")
    metrics(record(route='/a"b\\c\n{x}', resumes=1))
    metrics.begin(ROUTE)
    text = metrics.exposition(OPENMETRICS).content
    found = read(text, openmetrics_parser.text_string_to_metric_families)
    ours = {key: number for key, number in samples(metrics).items() if key[0].startswith("sluicegate")}
    assert {key: number for key, number in found.items() if key[0].startswith("sluicegate")} == ours


def test_variable_that_names_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/nonexistent/metrics")
    with pytest.raises(CannotMeasure, match=r"PROMETHEUS_MULTIPROC_DIR is '/nonexistent/metrics'"):
        Metrics("1.2.3")


def test_variable_that_comes_too_late_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(CannotMeasure, match="was set after prometheus_client had been imported"):
        Metrics("1.2.3")


# Several workers.

WORKER = """
import json, sys
from sluicegate.gateway import shared_metrics
from sluicegate.gateway.metrics import Metrics
from tests.gateway.records import record

# Twenty seconds: who adds up may be held up in the middle of it.
shared_metrics._ATTEMPTS = 2000
metrics = Metrics("1.2.3")
metrics.begin("/files/{key:path}")
metrics.parked(1)
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "scrape":
        shown = metrics.exposition(sys.argv[1])
        print(json.dumps(shown.content.decode()), flush=True)
    else:
        for _ in range(int(line)):
            metrics(record(resumes=1))
        print("done", flush=True)
"""


class Worker:
    """A process that counts."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid
        assert self.ask() == "ready"

    def ask(self, line: str = "") -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if line:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def count(self, transfers: int) -> None:
        assert self.ask(str(transfers)) == "done"

    def scrape(self) -> Samples:
        return read(json.loads(self.ask("scrape")).encode())

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@contextmanager
def worker(accept: str = "") -> Iterator[Worker]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, accept], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Worker(process)
        finally:
            process.kill()


def total(found: Samples) -> tuple[float, float, float, float]:
    """Requests, resumes, transfers in the last bucket, in flight."""
    return (
        value(found, "requests_total", **WHOLE),
        value(found, "resumes_total", **HERE),
        value(found, "transfer_seconds_bucket", le="+Inf", **HERE),
        value(found, "in_flight", route=ROUTE),
    )


def test_any_worker_answers_for_all_and_nothing_is_lost_with_one() -> None:
    with shared_folder() as folder, worker() as first, worker() as second:
        first.count(3)
        second.count(4)
        assert total(first.scrape()) == total(second.scrape()) == (7, 7, 7, 2)
        first.kill()
        add_ended(folder, [second.pid])
        assert total(second.scrape()) == (7, 7, 7, 1)
        with worker() as third:
            third.count(5)
            assert total(second.scrape()) == total(third.scrape()) == (12, 12, 12, 2)
            second.kill()
            add_ended(folder, [third.pid])
            assert total(third.scrape()) == (12, 12, 12, 1)
            names = {path.name for path in folder.glob("*.db")}
            assert {name for name in names if f"_{third.pid}." not in name} == {
                "counter_ended.db",
                "histogram_ended.db",
            }
    assert not folder.exists()
    assert VARIABLE not in os.environ


def test_all_workers_are_exposed_in_both_formats() -> None:
    with shared_folder(), worker(OPENMETRICS) as one, worker() as other:
        one.count(1)
        text = json.loads(one.ask("scrape"))
        found = read(text.encode(), openmetrics_parser.text_string_to_metric_families)
        plain = other.scrape()
    assert total(found) == total(plain) == (1, 1, 1, 2)
    assert value(plain, "parked") == 2
    assert value(plain, "build_info", version="1.2.3") == 1
    memory = {key for key in plain if key[0] == "process_resident_memory_bytes"}
    assert {key[1] for key in memory} == {(("pid", str(one.pid)),), (("pid", str(other.pid)),)}


def test_numbers_are_never_read_while_they_are_added_up() -> None:
    """Half of a change: the file of an ended worker is in the sum already, and still there by itself."""
    with shared_folder() as folder, worker() as one:
        one.count(1)
        one.kill()
        collector = SharedNumbers(folder)
        (folder / "generation").write_text("1")
        with pytest.raises(CannotMeasure, match="changed each of"):
            list(collector.collect())
        add_ended(folder, [])
        (found,) = [metric for metric in collector.collect() if metric.name == "sluicegate_requests"]
        assert [sample.value for sample in found.samples] == [1]


def test_sum_is_read_right_while_workers_come_and_go() -> None:
    """A scrape at any moment sees every transfer once: 20 times, while ten workers end."""
    with shared_folder() as folder, worker() as reader:
        reader.count(1)
        command = [sys.executable, "-c", FOLDING, str(folder), str(reader.pid)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            for ended in range(10, 210, 10):
                process.stdin.write("ten more\n")
                process.stdin.flush()
                meanwhile = [total(reader.scrape())[0] for _ in range(3)]
                assert process.stdout.readline() == "done\n"
                assert meanwhile == sorted(meanwhile)
                assert ended - 9 <= meanwhile[0] <= meanwhile[-1] <= ended + 1
                assert total(reader.scrape())[0] == ended + 1
            process.stdin.close()


FOLDING = """
import sys
from itertools import count
from pathlib import Path
from sluicegate.gateway.shared_metrics import add_ended

# The files of a worker that counted one transfer, as if of another process each time.
folder, reader = Path(sys.argv[1]), sys.argv[2]
kept = {kind: (folder / f"{kind}_{reader}.db").read_bytes() for kind in ("counter", "histogram")}
numbers = count(9_000_000)
for line in sys.stdin:
    for _ in range(10):
        number = next(numbers)
        for kind, content in kept.items():
            new = folder / f"{kind}.copy"
            new.write_bytes(content)
            new.replace(folder / f"{kind}_{number}.db")
        add_ended(folder, [int(reader)])
    print("done", flush=True)
"""


def test_an_observer_costs_little() -> None:
    """Not how long it takes, which a busy machine decides, but that nothing is looked up or made again."""
    metrics = Metrics("1.2.3")
    metrics(record())
    made = [id(child) for child in (*metrics._counts.values(), *metrics._series.values())]
    for _ in range(100):
        metrics(record())
    assert [id(child) for child in (*metrics._counts.values(), *metrics._series.values())] == made
    assert value(samples(metrics), "requests_total", **WHOLE) == 101
