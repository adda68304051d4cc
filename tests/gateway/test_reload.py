"""A new configuration while the old one is being served: for new requests, and without a break."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner

from sluicegate.gateway.app import CannotOpen, Gateway
from sluicegate.gateway.commands import sluicegate
from sluicegate.gateway.config import Config, ConfigError, parse_config
from sluicegate.gateway.live import MOST_GENERATIONS, CannotReplace, LiveGateway
from sluicegate.gateway.reloading import ConfigFile, Operation
from sluicegate.gateway.signals import HangUps
from sluicegate.gateway.systemd import Notifier
from tests.servers.process import answers, free_port, running

from .config_texts import ROUTE
from .reloads import ONE, RELOADED, TWO, choose, content_of, digest, folders, reload
from .test_cli_serve import SLUICEGATE, Served, end, serving, wait_for_log
from .test_shutdown import Slow, slow_client


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return folders(tmp_path)


def test_new_requests_get_the_new_configuration_and_a_running_transfer_keeps_its_own(config: Path) -> None:
    with serving(config) as server, slow_client(server, Connection="close") as client:
        choose(config, "two")
        reload(server)
        assert content_of(server) == TWO
        assert digest(client.read_to_end()) == digest(ONE)
        assert end(server, signal.SIGTERM)[1] == 0
        log = server.log.read_text()
    assert '"error"' not in log
    assert "Traceback" not in log


def test_connection_that_is_kept_alive_gets_the_new_configuration(config: Path) -> None:
    with serving(config) as server, httpx.Client(trust_env=False) as client:
        before = client.get(f"{server.url}/a.bin").content
        choose(config, "two")
        reload(server)
        after = client.get(f"{server.url}/a.bin").content
    assert (digest(before), digest(after)) == (digest(ONE), digest(TWO))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[stores.s]\nurl = 7\nurll = 8\n", id="mistakes"),
        pytest.param("[stores.s\n", id="not-toml"),
        pytest.param(None, id="missing"),
    ],
)
def test_configuration_that_cannot_be_used_changes_nothing_and_says_why(
    text: str | None, config: Path
) -> None:
    with serving(config) as server:
        config.unlink() if text is None else config.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "nothing has changed", 1)
        checked = subprocess.run([SLUICEGATE, "check", config], capture_output=True, text=True, check=False)
        assert content_of(server) == ONE
        # And it is not the last word: what is mended is taken.
        choose(config, "two")
        reload(server)
        assert content_of(server) == TWO
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    *mistakes, _count = checked.stderr.splitlines()
    assert [line["event"] for line in lines if line["level"] == "error"] == [*mistakes, "nothing has changed"]


def test_variable_that_is_not_set_is_said_to_need_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "sluicegate.toml"
    path.write_text(f'[stores.s]\nurl = "memory://"\nurll = 8\n{ROUTE}media_type = "${{NEW}}"\n')
    file = ConfigFile(path, {})
    with pytest.raises(ConfigError) as first:
        file.read()
    with pytest.raises(ConfigError) as again:
        file.read_again()
    unknown, unset = str(first.value).splitlines()
    told = "; the gateway's environment is that of its start, so a new variable needs a restart"
    assert str(again.value).splitlines() == [unknown, unset + told]


def test_what_waits_for_a_restart_is_said(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "a.toml", {})
    operation = Operation(file, HangUps(), Notifier(), admin=CONFIG.admin)
    admin = '[admin]\naddress = "127.0.0.1:1"\nallowed_hosts = "a.example"\n[stores.s]\nurl = "memory://"\n'
    changed = operation.accepted(parse_config(admin + ROUTE, {}))
    said = f"{file.path}: reloaded; stores: 1, routes: 1"
    assert operation.accepted(CONFIG).message == said
    assert changed.message == f"{said}; after a restart: [admin] address, [admin] allowed_hosts"


def test_file_that_can_be_read_only_once_is_not_waited_for(config: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(config.read_text(),), daemon=True)
    writer.start()
    with serving(pipe) as server:
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "what can be read only once", 1)
        assert content_of(server) == ONE
        assert end(server, signal.SIGTERM)[1] == 0
    writer.join()


def test_fifty_transfers_and_new_connections_survive_reloads(config: Path) -> None:
    """None of the transfers is broken, and no connection is refused."""
    with serving(config) as server:
        clients = [Slow(server.url, Connection="close") for _ in range(50)]
        with new_connections(server) as statuses:
            for count, folder in enumerate(["two", "one"] * 4, start=1):
                choose(config, folder)
                reload(server, count)
        with ThreadPoolExecutor(4) as pool:
            digests = list(pool.map(lambda client: digest(client.read_to_end()), clients))
        for client in clients:
            client.close()
        assert end(server, signal.SIGTERM)[1] == 0
    assert digests == [digest(ONE)] * 50
    assert set(statuses) == {200}
    assert len(statuses) >= 8


@contextmanager
def new_connections(server: Served) -> Iterator[list[int]]:
    """Ask for the object's head by one new connection after the other, until the block ends."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            connection = HTTPConnection(server.url.removeprefix("http://"), timeout=10)
            try:
                connection.request("HEAD", "/a.bin")
                statuses.append(connection.getresponse().status)
            except (OSError, HTTPException):
                statuses.append(0)
            finally:
                connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield statuses
    finally:
        over.set()
        asking.join()


def test_settings_of_the_server_are_replaced_too(config: Path) -> None:
    with serving(config) as server, slow_client(server, Connection="close") as client:
        choose(config, "two", '[gateway]\ndrain_timeout = 0.3\nlog = "text"\n')
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, RELOADED, 1)
        # By default it would be 30 seconds, and the test's own limit is 12.
        assert end(server, signal.SIGTERM)[1] == 0
        assert len(client.read_to_end()) < len(ONE)
        assert server.log.read_text().splitlines()[-1].endswith("]")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_hang_up_ends_what_has_lost_its_terminal_and_reloads_what_has_it(workers: str, config: Path) -> None:
    master, slave = pty.openpty()
    port = free_port()
    # The leader of a session gets the terminal that it opens as its own.
    code = "import os, sys; os.open(sys.argv[1], os.O_RDWR); os.execv(sys.argv[2], sys.argv[2:])"
    command = [sys.executable, "-c", code, os.ttyname(slave)]
    command += [SLUICEGATE, "serve", str(config), "--port", str(port), "--workers", workers, "--admin", "off"]
    with running(command, ready=answers(port, "/readyz", statuses=range(200, 201))) as process:
        os.close(slave)
        server = Served(f"http://127.0.0.1:{port}", psutil.Process(process.pid), process.log)
        choose(config, "two")
        reload(server)
        assert content_of(server) == TWO
        choose(config, "one")
        reload(server, 2)
        with slow_client(server, Connection="close") as client:
            # The terminal is closed: the kernel sends the signal, and a shell would send it again.
            os.close(master)
            wait_for_log(server, "Waiting for connections to close", 1)
            server.process.send_signal(signal.SIGHUP)
            assert digest(client.read_to_end()) == digest(ONE)
        assert end(server, 0)[1] == 0
        assert server.log.read_text().count(RELOADED) == 2


def test_terminal_that_is_lost_ends_once(tmp_path: Path) -> None:
    terminal = tmp_path / "tty"
    terminal.touch()
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        hang_ups = HangUps(str(terminal))
        hang_ups.handle(signal.SIGHUP, None)
        assert (hang_ups.taken(), hang_ups.taken(), came) == (True, False, [])
        terminal.unlink()
        hang_ups.handle(signal.SIGHUP, None)
        hang_ups.handle(signal.SIGHUP, None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (hang_ups.taken(), came) == (False, [signal.SIGTERM])


def test_hang_up_before_anybody_listens_is_kept() -> None:
    hang_ups = HangUps("/nonexistent")
    hang_ups.handle(signal.SIGHUP, None)
    told: list[str] = []
    with hang_ups.told(lambda: told.append("told")):
        assert (told, hang_ups.taken()) == (["told"], True)


@contextmanager
def administration(status: int, answer: bytes) -> Iterator[tuple[str, list[str]]]:
    """Something that answers at an address as an administration does; yields it, and what it is asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(f"{self.command} {self.path}")
            if (content := self.rfile.read(int(self.headers["content-length"]))) != b"":
                asked.append(content.decode())
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "answer", "code", "said"),
    [
        pytest.param(200, b'{"ok": true, "message": "reloaded"}', 0, ("reloaded\n", ""), id="reloaded"),
        pytest.param(422, b'{"ok": false, "message": "line 1\\nno"}', 1, ("", "line 1\nno\n"), id="refused"),
    ],
)
def test_command_prints_what_the_gateway_says(
    status: int, answer: bytes, code: int, said: tuple[str, str]
) -> None:
    with administration(status, answer) as (address, asked):
        done = subprocess.run(
            [SLUICEGATE, "reload", "--admin", address], capture_output=True, text=True, check=False
        )
    assert (done.returncode, (done.stdout, done.stderr)) == (code, said)
    assert asked == ["POST /reload"]


def test_command_says_whom_it_could_not_ask() -> None:
    with administration(200, b"<html>") as (other, _):
        nobody = f"127.0.0.1:{free_port()}"
        for address, found in ((other, "cannot understand"), (nobody, "refused"), ("no", "HOST:PORT")):
            done = subprocess.run(
                [SLUICEGATE, "reload", "--admin", address], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout, found in done.stderr) == (1, "", True)
            assert address in done.stderr
            assert "Traceback" not in done.stderr


def test_command_asks_the_gateway_of_a_file_and_names_it(tmp_path: Path) -> None:
    config = tmp_path / "link.toml"
    config.symlink_to("real.toml")
    with administration(200, b'{"ok": true, "message": "reloaded"}') as (address, asked):
        # What the gateway has in its environment, who reloads it need not have.
        text = f'[admin]\naddress = "{address}"\n[stores.s]\nurl = "${{NOT_SET_HERE}}"\n{ROUTE}'
        (tmp_path / "real.toml").write_text(text)
        done = CliRunner().invoke(sluicegate, ["reload", str(config)])
    assert (done.exit_code, done.stdout) == (0, "reloaded\n")
    assert asked == ["POST /reload", json.dumps({"config": str((tmp_path / "real.toml").resolve())})]


@pytest.mark.parametrize(
    ("admin", "code", "said"),
    [
        pytest.param('address = "off"', 1, "send SIGHUP", id="off"),
        pytest.param("address = 5", 2, "admin.address: found 5", id="mistake"),
        pytest.param('address = "${NOT_SET_HERE}"', 2, "${NOT_SET_HERE}, which is not set", id="unset"),
    ],
)
def test_command_asks_nobody_where_the_file_names_none(
    admin: str, code: int, said: str, tmp_path: Path
) -> None:
    config = tmp_path / "sluicegate.toml"
    config.write_text(f"[admin]\n{admin}\n[stores.s]\nurl = 7\n")
    done = CliRunner().invoke(sluicegate, ["reload", str(config)])
    assert (done.exit_code, done.stdout, said in done.stderr) == (code, "", True)
    assert "stores" not in done.stderr


CONFIG = parse_config('[stores.s]\nurl = "memory://"\n' + ROUTE, {})


class Scripted(Gateway):
    """A gateway that can be told to fail or to wait, and that notes which task opens and closes it."""

    def __init__(self, problem: str = "", opens: asyncio.Event | None = None) -> None:
        super().__init__(CONFIG)
        self._problem = problem
        self._opens = opens
        self.notes: list[tuple[str, object]] = []
        self.goes_on = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] != "lifespan":
            self.notes.append(("request", scope["path"]))
            await self.goes_on.wait()
            return
        self.notes.append(("opening", asyncio.current_task()))
        try:
            if self._opens is not None:
                await self._opens.wait()
            if self._problem:
                await send({"type": "lifespan.startup.failed", "message": self._problem})
                return
            await super().__call__(scope, receive, send)
        finally:
            self.notes.append(("closed", asyncio.current_task()))

    @property
    def steps(self) -> list[str]:
        return [name for name, _ in self.notes]


@contextmanager
def making(*gateways: Gateway) -> Iterator[tuple[LiveGateway, Gateway]]:
    """A live gateway that begins with the first of some gateways, and gets the others one by one."""
    first, *others = gateways
    left = iter(others)

    def make(config: Config) -> Gateway:
        made = next(left, None)
        if made is None:
            raise RuntimeError("no more gateways")
        return made

    yield LiveGateway(first, make), first


class Lifespan:
    """What a server does with an application at its start and its end."""

    def __init__(self, app: LiveGateway) -> None:
        self._app = app
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._sent: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._app({"type": "lifespan"}, self._events.get, self._sent.put))
        await self._events.put({"type": "lifespan.startup"})
        assert (await self._sent.get())["type"] == "lifespan.startup.complete"

    async def __aexit__(self, *_: object) -> None:
        await self._events.put({"type": "lifespan.shutdown"})
        assert (await self._sent.get())["type"] == "lifespan.shutdown.complete"
        await self._task


def request(live: LiveGateway, path: str) -> asyncio.Task[None]:
    return asyncio.create_task(live({"type": "http", "path": path}, None, None))  # type: ignore[arg-type]


async def until_generations(live: LiveGateway, count: int) -> None:
    async with asyncio.timeout(10):
        while live.generations != count:
            await asyncio.sleep(0)


async def test_old_gateway_is_closed_by_its_own_task_when_its_last_request_has_ended() -> None:
    old, new = Scripted(), Scripted()
    with making(old, new) as (live, _):
        async with Lifespan(live):
            first, second = request(live, "/1"), request(live, "/2")
            await asyncio.sleep(0)
            await live.replace(CONFIG)
            third = request(live, "/3")
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait((first,))
            assert (live.generations, old.steps, new.steps) == (
                2,
                ["opening", "request", "request"],
                ["opening", "request"],
            )
            old.goes_on.set()
            await second
            await until_generations(live, 1)
            assert old.steps[-1] == "closed"
            assert old.notes[0][1] is old.notes[-1][1]
            new.goes_on.set()
            await third
        assert (live.generations, new.steps[-1]) == (0, "closed")


async def test_gateway_that_cannot_be_opened_or_made_changes_nothing() -> None:
    good, bad = Scripted(), Scripted(problem="no such bucket")
    with making(good, bad) as (live, _):
        async with Lifespan(live):
            with pytest.raises(CannotOpen, match="no such bucket"):
                await live.replace(CONFIG)
            with pytest.raises(RuntimeError, match="no more gateways"):
                await live.replace(CONFIG)
            with pytest.raises(CannotReplace):
                live.commit()
            await until_generations(live, 1)
            good.goes_on.set()
            await request(live, "/1")
    assert good.steps == ["opening", "request", "closed"]
    assert bad.steps == ["opening", "closed"]


async def test_what_is_abandoned_or_interrupted_is_closed() -> None:
    abandoned, interrupted = Scripted(), Scripted(opens=asyncio.Event())
    with making(Scripted(), abandoned, interrupted) as (live, _):
        async with Lifespan(live):
            await live.prepare(CONFIG)
            assert live.generations == 2
            live.abandon()
            live.abandon()
            await until_generations(live, 1)
            preparing = asyncio.create_task(live.prepare(CONFIG))
            await until_generations(live, 2)
            preparing.cancel()
            await asyncio.wait((preparing,))
            assert (preparing.cancelled(), interrupted.steps) == (True, ["opening", "closed"])
            await until_generations(live, 1)
    assert abandoned.steps == ["opening", "closed"]


async def test_shutdown_closes_all_and_takes_no_new_configuration() -> None:
    gateways = [Scripted(), Scripted(), Scripted()]
    with making(*gateways) as (live, _):
        async with Lifespan(live):
            held = request(live, "/1")
            await asyncio.sleep(0)
            await live.replace(CONFIG)
            await live.prepare(CONFIG)
            live.drain()
            live.commit()
            with pytest.raises(CannotReplace, match="is ending"):
                await live.prepare(CONFIG)
            await until_generations(live, 2)
        assert [gateway.steps[-1] for gateway in gateways] == ["closed"] * 3
        held.cancel()
        await asyncio.wait((held,))


async def test_number_of_gateways_with_requests_is_bounded() -> None:
    gateways = [Scripted() for _ in range(MOST_GENERATIONS)]
    with making(*gateways) as (live, _):
        async with Lifespan(live):
            held = [request(live, "/0")]
            for number in range(1, MOST_GENERATIONS):
                await live.replace(CONFIG)
                held.append(request(live, f"/{number}"))
                await asyncio.sleep(0)
            with pytest.raises(CannotReplace, match="99 earlier configurations"):
                await live.replace(CONFIG)
            gateways[0].goes_on.set()
            await held[0]
            await until_generations(live, MOST_GENERATIONS - 1)
        for task in held:
            task.cancel()
        await asyncio.wait(held)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_command_reloads_a_gateway_that_serves(workers: str, config: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    with serving(config, "--workers", workers, "--admin", admin) as server:
        assert content_of(server) == ONE
        choose(config, "two")
        done = subprocess.run(
            [SLUICEGATE, "reload", "--admin", admin], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, content_of(server)) == (0, TWO), done.stderr
        assert "reloaded" in done.stdout
        choose(config, "one")
        other = CliRunner().invoke(sluicegate, ["reload", str(config.with_name("b.toml")), "--admin", admin])
        assert (other.exit_code, content_of(server)) == (1, TWO)
        assert f"this gateway serves {str(config)!r}, not" in other.stderr
        config.write_text("nonsense")
        done = subprocess.run(
            [SLUICEGATE, "reload", "--admin", admin], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, content_of(server)) == (1, TWO)
        assert "nothing has changed" in done.stderr
        # However many workers read it.
        numbers = httpx.get(f"http://{admin}/metrics", trust_env=False).text
        assert set(re.findall(r'reloads_total{result="(\w+)"} ([0-9.]+)', numbers)) == {
            ("applied", "1.0"),
            ("invalid", "1.0"),
        }
