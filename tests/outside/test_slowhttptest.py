"""slowhttptest attacks a gateway in four ways at once: heads that never end, readers that hardly read, and
two floods of ranges. The gateway cuts them, answers others all the while, and needs little memory for it.
"""

import csv
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from tests.gateway.test_cli_serve import Served, serving
from tests.servers.process import ServerMissing, executable

try:
    SLOWHTTPTEST = executable("slowhttptest", "apt-get install slowhttptest")
except ServerMissing as missing:
    pytest.skip(str(missing), allow_module_level=True)

CLIENTS = 100
"""Of each attack; what they may cost is small beside what as many would have taken of their object."""

SECONDS = 30
"""After which slowhttptest gives up, and says so: it never comes to that."""

POLL_SECONDS = 0.1
WAIT_SECONDS = 20.0
"""For the last connections to go: it takes as long on a machine that is busy only."""

BIG = 64 * 1024 * 1024
SMALL = 256 * 1024
MEMORY = 96 * 1024 * 1024
"""Far below what the readers have asked for, which is 6.4 GB, and well above what they have cost."""

CONFIG = """
[limits]
head_timeout = 5

[transfers]
min_drain_rate = "256KiB"
min_drain_seconds = 2

[stores.files]
url = "file://./objects"

[[routes]]
path = "/{key:path}"
object = "files:{key}"
"""

ATTACKS: Mapping[str, list[str]] = {
    # A byte or so of a field each second.
    "slow-heads": ["-H", "-i", "1", "-x", "24", "-u", "/big"],
    # A small window, emptied once in a second. What the system has taken from the gateway is theirs to read:
    # they see the end behind it.
    "slow-reads": ["-X", "-w", "16384", "-y", "32768", "-n", "1", "-z", "65536", "-k", "1", "-u", "/big"],
    # bytes=0-,5-5,5-6,5-7 and so on: more than are read, and as many as are.
    "many-ranges": ["-R", "-a", "5", "-b", "1000", "-t", "GET", "-u", "/small"],
    "some-ranges": ["-R", "-a", "5", "-b", "60", "-t", "GET", "-u", "/small"],
}


@dataclass(frozen=True, slots=True)
class Siege:
    """What was seen while and after all attacks went on."""

    said: Mapping[str, str]
    available: Mapping[str, set[str]]
    health: Counter[int]
    memory: int
    records: list[dict[str, object]]
    log: str
    connections: int


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    folder = tmp_path_factory.mktemp("slow")
    (folder / "objects").mkdir()
    for name, size in (("big", BIG), ("small", SMALL)):
        with (folder / "objects" / name).open("wb") as file:
            file.truncate(size)
    config = folder / "sluicegate.toml"
    config.write_text(CONFIG)
    with serving(config) as gateway:
        yield besieged(gateway, folder)


def besieged(gateway: Served, folder: Path) -> Siege:
    """Let all attacks go on until they end, and look at the gateway meanwhile."""
    before = gateway.process.memory_info().rss
    health, most = Counter[int](), before
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=gateway.url, trust_env=False))
        attacks = [stack.enter_context(attack(name, gateway.url, folder)) for name in ATTACKS]
        while any(one.poll() is None for one in attacks):
            # On a connection of its own each: it is new ones that an attack would use up.
            answer = client.get("/healthz", headers={"connection": "close"})
            health[answer.status_code] += 1
            most = max(most, gateway.process.memory_info().rss)
            time.sleep(POLL_SECONDS)
    health[httpx.get(f"{gateway.url}/healthz", trust_env=False).status_code] += 1
    left = left_connections(gateway.process)
    log = gateway.log.read_text()
    return Siege(
        said={name: (folder / f"{name}.out").read_text() for name in ATTACKS},
        available={name: availability(folder / f"{name}.csv") for name in ATTACKS},
        health=health,
        memory=most - before,
        records=[one for one in map(json.loads, log.splitlines()) if one["event"] == "transfer"],
        log=log,
        connections=left,
    )


def attack(name: str, url: str, folder: Path) -> "subprocess.Popen[bytes]":
    *how, path = ATTACKS[name]
    common = ["-c", str(CLIENTS), "-r", str(CLIENTS), "-l", str(SECONDS), "-p", "20", "-g", "-v", "1"]
    command = [SLOWHTTPTEST, *how, url + path, *common, "-o", str(folder / name)]
    with (folder / f"{name}.out").open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def availability(report: Path) -> set[str]:
    """What slowhttptest found each second of whether the service answers somebody else."""
    with report.open(newline="") as file:
        return {row["Service Available"] for row in csv.DictReader(file)}


def connected(process: psutil.Process) -> int:
    """The connections of clients that the gateway has not let go of."""
    held = {psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT}
    return sum(one.status in held for one in process.net_connections("tcp"))


def left_connections(process: psutil.Process) -> int:
    """Those that stay, though it has time to notice that their clients are gone."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (left := connected(process)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left


@pytest.mark.parametrize("name", list(ATTACKS))
def test_attackers_find_themselves_cut_and_the_service_available(name: str, siege: Siege) -> None:
    # Not "Hit test time limit", and not "Cannot establish connection".
    assert "No open connections left" in siege.said[name]
    # The number of connections stands for yes, 0 for no.
    assert siege.available[name] == {str(CLIENTS)}


def test_others_are_answered_all_the_while(siege: Siege) -> None:
    assert set(siege.health) == {200}
    assert siege.health[200] > 10


def test_memory_stays_bounded(siege: Siege) -> None:
    assert siege.memory < MEMORY


def test_slow_readers_are_cut_for_what_they_are(siege: Siege) -> None:
    outcomes = Counter(one["outcome"] for one in siege.records if one.get("key") == "big")
    assert outcomes["client_too_slow"] == CLIENTS
    # The probe of slowhttptest takes it whole, or leaves; nothing failed.
    assert set(outcomes) <= {"client_too_slow", "complete", "client_gone"}


def test_ranges_cost_no_more_than_the_object(siege: Siege) -> None:
    flood = [one for one in siege.records if one.get("key") == "small" and "span_asked" in one]
    assert len(flood) == 2 * CLIENTS
    assert {one["status"] for one in flood} <= {200, 206}
    assert all(int(str(one["bytes_promised"])) <= SMALL for one in flood)
    assert all(int(str(one.get("origin_bytes", 0))) <= SMALL for one in flood)


def test_nothing_is_left_and_nothing_broke(siege: Siege) -> None:
    assert siege.connections == 0
    assert "Traceback" not in siege.log
    assert '"level": "error"' not in siege.log
