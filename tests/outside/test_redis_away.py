"""A Redis that goes away and comes back under load: what the operator has decided happens, uses of links are
refused meanwhile, and afterwards everything counts again.
"""

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import pytest

from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from sluicegate.access.rate_limits import RateLimit
from sluicegate.access.rates import Rates
from tests.conftest import started
from tests.gateway.test_cli_serve import Served, serving
from tests.servers.redis import RedisServer, redis

from . import patient_gateway
from .patient_gateway import REDIS_SECONDS

PATIENT_GATEWAY = (sys.executable, patient_gateway.__file__)
SECRET = "0123456789-0123456789-0123456789-0123456789"
CONTENT = b"Hello, world.\n"
CLIENTS = 4
ENOUGH = 60
"""Answers of each phase: more than are under way when it changes."""

STEADY = 20
"""Uses in a row that are counted: then none of them meets what Redis has left behind."""

WAIT_SECONDS = 20.0
"""For what takes a moment: longer is a hang."""

CONFIG = f"""
[limits]
storage = "REDIS"
on_failure = "POLICY"

[auth.links]
type = "signed"
keys = {{ k1 = "{SECRET}" }}

[defaults]
auth = "public"

[stores.files]
url = "file://./objects"

[[routes]]
path = "/many/{{key}}"
object = "files:{{key}}"
limits = {{ requests = "1000000/day" }}

[[routes]]
path = "/few/{{key}}"
object = "files:{{key}}"
limits = {{ requests = "2/day" }}

[[routes]]
path = "/free/{{key}}"
object = "files:{{key}}"

[[routes]]
path = "/links/{{key}}"
object = "files:{{key}}"
auth = "links"
"""

links = SignedLinks({"k1": SECRET})


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=WAIT_SECONDS)


@dataclass
class Load:
    """What clients got who ask all the while: the statuses in the phase that is on, and what failed."""

    statuses: Counter[int] = field(default_factory=Counter)
    retries: set[str | None] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    def begin_phase(self) -> None:
        """Forget what was; answers that are under way may still come."""
        self.statuses, self.retries = Counter(), set()

    def ask(self, url: str, end: threading.Event) -> None:
        with client_of(url) as client:
            while not end.is_set():
                try:
                    answer = client.get("/many/a.txt")
                except httpx.HTTPError as exc:
                    self.failures.append(repr(exc))
                    continue
                self.statuses[answer.status_code] += 1
                if answer.status_code == 503:
                    self.retries.add(answer.headers.get("retry-after"))


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway that counts in a Redis, under load."""

    store: RedisServer
    gateway: Served
    load: Load
    client: httpx.Client

    def status(self, target: str) -> int:
        return self.client.get(target).status_code


@contextmanager
def scene(folder: Path, policy: str) -> Iterator[Scene]:
    (folder / "objects").mkdir()
    (folder / "objects" / "a.txt").write_bytes(CONTENT)
    config = folder / "sluicegate.toml"
    with ExitStack() as stack:
        store = stack.enter_context(started(redis()))
        config.write_text(CONFIG.replace("REDIS", store.url).replace("POLICY", policy))
        gateway = stack.enter_context(serving(config, program=PATIENT_GATEWAY))
        load, end = Load(), threading.Event()
        clients = [threading.Thread(target=load.ask, args=(gateway.url, end)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            yield Scene(store, gateway, load, stack.enter_context(client_of(gateway.url)))
        finally:
            end.set()
            for client in clients:
                client.join(WAIT_SECONDS)


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {WAIT_SECONDS} s still not: {what}"
        time.sleep(0.01)


def wait_for_answers(load: Load, status: int) -> None:
    wait_until(f"{ENOUGH} answers of status {status}", lambda: load.statuses[status] >= ENOUGH)


def single_use() -> str:
    return links.link("/links/a.txt", 600, LinkClaims(uses=1, id=f"once-{time.monotonic_ns()}"))


def plain_link() -> str:
    return links.link("/links/a.txt", 600)


@pytest.mark.parametrize("policy", ["allow", "deny"])
def test_redis_goes_away_and_comes_back_under_load(policy: Literal["allow", "deny"], tmp_path: Path) -> None:
    with scene(tmp_path, policy) as at:
        counts_while_there(at)
        at.store.stop()
        obeys_while_away(at, 200 if policy == "allow" else 503)
        at.store.start()
        recovers(at)
        assert at.load.failures == []
        log = at.gateway.log.read_text()
    assert "Traceback" not in log
    assert f"requests are {'allowed' if policy == 'allow' else 'denied'} uncounted" in log
    assert "answers again: requests are counted" in log


def counts_while_there(at: Scene) -> None:
    wait_for_answers(at.load, 200)
    assert set(at.load.statuses) == {200}
    assert [at.status("/few/a.txt") for _ in range(3)] == [200, 200, 429]
    once = single_use()
    assert [at.status(once) for _ in range(2)] == [200, 403]


def obeys_while_away(at: Scene, expected: int) -> None:
    # The first that nobody counts: before it, answers may still be of the time before.
    wait_until("it is noticed", lambda: at.status(single_use()) == 503)
    wait_until("it is felt", lambda: at.load.statuses[expected] > 0)
    at.load.begin_phase()
    wait_for_answers(at.load, expected)
    # At most what was under way when the phase began: an answer a client.
    assert sum(at.load.statuses.values()) - at.load.statuses[expected] <= CLIENTS
    assert expected == 200 or all(wait is not None and int(wait) > 0 for wait in at.load.retries)
    assert [at.status("/few/a.txt") for _ in range(4)] == [expected] * 4
    # Nobody is let in by a link whose uses cannot be counted, whatever the policy is; what is not counted is
    # not affected.
    assert [at.status(single_use()) for _ in range(3)] == [503] * 3
    assert [at.status("/free/a.txt"), at.status(plain_link())] == [200, 200]


def recovers(at: Scene) -> None:
    wait_until("everything is counted", lambda: all(at.status(single_use()) == 200 for _ in range(STEADY)))
    at.load.begin_phase()
    wait_for_answers(at.load, 200)
    assert at.load.statuses[503] <= CLIENTS
    # It has forgotten what it held, and counts anew.
    assert [at.status("/few/a.txt") for _ in range(3)] == [200, 200, 429]
    once = single_use()
    assert [at.status(once) for _ in range(2)] == [200, 403]


async def test_redis_that_is_back_counts_for_all_who_ask_at_once() -> None:
    limit = RateLimit("1000000/day", "all")
    with started(redis()) as store:
        async with Rates(store.url, on_failure="deny", timeout_seconds=REDIS_SECONDS) as rates:
            assert await allowed(rates, limit) == [True] * CLIENTS
            await asyncio.to_thread(store.stop)
            assert not (await rates.check(limit, "k")).allowed
            await asyncio.to_thread(store.start)
            async with asyncio.timeout(WAIT_SECONDS):
                while not (await rates.check(limit, "k")).allowed:
                    await asyncio.sleep(0.01)
            assert await allowed(rates, limit) == [True] * CLIENTS


async def allowed(rates: Rates, limit: RateLimit) -> list[bool]:
    """What so many are told who ask at once, each on a connection of its own."""
    return [one.allowed for one in await asyncio.gather(*(rates.check(limit, "k") for _ in range(CLIENTS)))]
