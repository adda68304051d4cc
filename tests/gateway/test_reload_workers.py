"""Several workers change to a new configuration together, or none of them does."""

import asyncio
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from sluicegate.errors import SluicegateError
from sluicegate.gateway.agreement import (
    Abandon,
    AskReload,
    CannotPrepare,
    Commit,
    Committed,
    Member,
    Prepare,
    Prepared,
    Serving,
    Verdict,
)
from sluicegate.gateway.config import Config, parse_config
from sluicegate.gateway.reloading import ReloadResult
from sluicegate.gateway.workers import restart_seconds
from tests.servers.process import running

from .config_texts import ROUTE
from .reloads import ONE, TWO, choose, content_of, digest, folders, reload
from .scripted_workers import COUNT
from .test_cli_serve import Served, end, serving, wait_for_log
from .test_shutdown import Slow

STARTED = "Application startup complete"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return folders(tmp_path)


def contents(server: Served) -> set[str]:
    """What a dozen new connections get: each is as likely as not another worker's."""
    return {digest(content_of(server)) for _ in range(12)}


def test_all_workers_have_changed_when_it_is_said(config: Path) -> None:
    with serving(config, "--workers", "2") as server:
        wait_for_log(server, STARTED, 2)
        clients = [Slow(server.url, Connection="close") for _ in range(20)]
        for count, folder in enumerate(["two", "one", "two"], start=1):
            choose(config, folder)
            reload(server, count)
            assert contents(server) == {digest({"one": ONE, "two": TWO}[folder])}
        with ThreadPoolExecutor(4) as pool:
            digests = set(pool.map(lambda client: digest(client.read_to_end()), clients))
        for client in clients:
            client.close()
        assert end(server, signal.SIGTERM)[1] == 0
        log = server.log.read_text()
    assert digests == {digest(ONE)}
    assert "Traceback" not in log
    assert '"error"' not in log


def test_configuration_with_mistakes_reaches_no_worker(config: Path) -> None:
    with serving(config, "--workers", "2") as server:
        wait_for_log(server, STARTED, 2)
        config.write_text("[stores.s]\nurl = 7\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "nothing has changed", 1)
        assert "stores.s.url: found 7" in server.log.read_text()
        assert contents(server) == {digest(ONE)}
        assert end(server, signal.SIGTERM)[1] == 0


def test_worker_that_is_replaced_begins_with_the_newest_configuration(config: Path) -> None:
    with serving(config, "--workers", "2") as server:
        wait_for_log(server, STARTED, 2)
        choose(config, "two")
        reload(server)
        # It is not read again for a worker that is replaced.
        choose(config, "one")
        first, *_ = [
            child for child in server.process.children() if "spawn_main" in " ".join(child.cmdline())
        ]
        first.kill()
        wait_for_log(server, STARTED, 3)
        assert contents(server) == {digest(TWO)}
        assert end(server, signal.SIGTERM)[1] == 0


ROOT = Path(__file__).parents[2]
"""Where the workers find these tests."""


@contextmanager
def scripted(folder: Path, script: str, seconds: float = 30.0, routes: int = 1) -> Iterator[Served]:
    """Workers that serve nothing; one follows a script. The file says "second" once they have begun."""
    config = folder / "sluicegate.toml"
    write(config, "first")
    command = [sys.executable, "-m", "tests.gateway.scripted_workers", str(config), script, str(seconds)]
    with running(command, ready=lambda: True, cwd=folder, env={"PYTHONPATH": str(ROOT)}) as process:
        server = Served("", psutil.Process(process.pid), process.log)
        wait_for_log(server, "begins with 'first'", COUNT)
        write(config, "second", routes)
        yield server


def write(config: Path, title: str, routes: int = 1) -> None:
    more = "".join(f'[[routes]]\npath = "/{number}/x"\nobject = "s:x"\n' for number in range(routes))
    # In one go: a worker that asks has it read at any moment.
    new = config.with_suffix(".new")
    new.write_text(f'[gateway]\ntitle = "{title}"\n[stores.s]\nurl = "memory://"\n{more}')
    new.replace(config)


def heard(server: Served, what: str) -> int:
    return server.log.read_text().count(f"hears {what}\n")


def test_none_changes_if_one_does_not(tmp_path: Path) -> None:
    reasons = ["no such bucket", "not ready after 6.0 s", "ended meanwhile"]
    with scripted(tmp_path, "refuse,silent,die", 6.0) as server:
        for count, reason in enumerate(reasons, start=1):
            server.process.send_signal(signal.SIGHUP)
            wait_for_log(server, "nothing has changed", count)
            # The one that has ended hears no more.
            wait_for_log(server, "hears Abandon", min(COUNT * count, COUNT * 2 + 1))
            assert server.log.read_text().count(reason) == 1
            assert heard(server, "Commit") == 0
        wait_for_log(server, "begins with 'first'", COUNT + 1)
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "reloaded; stores: 1", 1)
        wait_for_log(server, "hears Count", len(reasons) + 1)
        assert heard(server, "Commit") == COUNT
        assert heard(server, "Count") == len(reasons) + 1


def test_all_have_changed_when_who_asked_is_answered_and_who_does_not_is_replaced(tmp_path: Path) -> None:
    with scripted(tmp_path, "ask,stuck", 6.0) as server:
        wait_for_log(server, "hears Verdict", 1)
        log = server.log.read_text()
        assert log.count("hears Commit") == COUNT
        assert log.index("hears Verdict") > log.rindex("hears Commit")
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "reloaded; stores: 1", 2)
        wait_for_log(server, "begins with 'second'", 1)


def test_worker_that_cannot_start_again_ends_nothing_and_holds_up_no_reload(tmp_path: Path) -> None:
    with scripted(tmp_path, "die,lame") as server:
        server.process.send_signal(signal.SIGHUP)
        # Two that replace the one that died could not start.
        wait_for_log(server, "begins with 'first'", COUNT + 2)
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "reloaded; stores: 1", 1)
        wait_for_log(server, "begins with 'second'", 1)


def test_wait_for_another_worker_grows_up_to_a_bound() -> None:
    seconds = [restart_seconds(failures) for failures in (0, 1, 2, 3, 5, 6, 7, 10**9)]
    assert seconds == [0.5, 1.0, 2.0, 4.0, 16.0, 30.0, 30.0, 30.0]


def test_worker_that_reads_nothing_holds_up_nobody(tmp_path: Path) -> None:
    # More than its pipe takes in.
    with scripted(tmp_path, "deaf", routes=3000) as server:
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "ended meanwhile", 1)
        wait_for_log(server, "begins with 'first'", COUNT + 1)
        assert heard(server, "Commit") == 0


CONFIG = parse_config('[stores.s]\nurl = "memory://"\n' + ROUTE, {})


class Changing:
    """What a worker changes: it notes what it is told, and waits or fails if it is to."""

    def __init__(self, problem: Exception | None = None, *, waits: bool = False) -> None:
        self.steps: list[str] = []
        self._problem = problem
        self._waits = waits

    async def prepare(self, config: Config) -> None:
        self.steps.append("prepare")
        if self._waits:
            try:
                await asyncio.Event().wait()
            finally:
                self.steps.append("interrupted")
        if self._problem is not None:
            raise self._problem

    def commit(self) -> None:
        self.steps.append("commit")

    def abandon(self) -> None:
        self.steps.append("abandon")


async def said(pipe: Connection) -> object:
    """What a worker says next."""
    return await asyncio.wait_for(asyncio.to_thread(pipe.recv), 10)


async def test_worker_does_what_it_is_told() -> None:
    ours, theirs = multiprocessing.Pipe()
    server = Changing()
    member = Member(server, theirs)
    async with member.attached():
        member.started()
        ours.send(Prepare(4, CONFIG))
        assert [await said(ours), await said(ours)] == [Serving(), Prepared(4)]
        # Of an attempt that is long over.
        ours.send(Commit(3))
        ours.send(Commit(4))
        assert await said(ours) == Committed(4)
    assert server.steps == ["prepare", "commit"]


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        pytest.param(SluicegateError("no such bucket"), "no such bucket", id="expected"),
        pytest.param(ZeroDivisionError(), "the reload failed, and the log says how", id="unexpected"),
    ],
)
async def test_worker_says_why_it_cannot(problem: Exception, reason: str) -> None:
    ours, theirs = multiprocessing.Pipe()
    async with Member(Changing(problem), theirs).attached():
        ours.send(Prepare(1, CONFIG))
        assert await said(ours) == CannotPrepare(1, reason)


@pytest.mark.parametrize("how", ["order", "end"])
async def test_worker_stops_preparing(how: str) -> None:
    ours, theirs = multiprocessing.Pipe()
    server = Changing(waits=True)
    member = Member(server, theirs)
    async with member.attached():
        ours.send(Prepare(1, CONFIG))
        async with asyncio.timeout(10):
            while not server.steps:
                await asyncio.sleep(0)
            if how == "order":
                ours.send(Abandon(1))
                while "abandon" not in server.steps:
                    await asyncio.sleep(0)
    assert server.steps == ["prepare", *(["abandon"] if how == "order" else []), "interrupted"]


async def test_worker_asks_for_several_reloads_and_each_gets_its_own_answer() -> None:
    ours, theirs = multiprocessing.Pipe()
    member = Member(Changing(), theirs)
    async with member.attached():
        first, gone, last = (asyncio.create_task(member.reload()) for _ in range(3))
        asked = [await said(ours) for _ in range(3)]
        gone.cancel()
        for number in (3, 2, 1):
            ours.send(Verdict(number, ReloadResult(True, str(number))))
        answers = [await first, await last]
        # Who would answer the next one is gone.
        orphan = asyncio.create_task(member.reload())
        assert await said(ours) == AskReload(4)
        ours.close()
        assert not (await orphan).ok
    assert asked == [AskReload(1), AskReload(2), AskReload(3)]
    assert answers == [ReloadResult(True, "1"), ReloadResult(True, "3")]
