"""What systemd hands over and is told: real sockets, and its own tools where they are installed."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from sluicegate.gateway.systemd import BadActivation, Notifier, activated_sockets
from tests.servers.process import answers, executable, free_port, running

from .config_texts import ROUTE
from .reloads import ONE, TWO, choose, content_of, folders
from .test_cli_serve import SLUICEGATE, Served, end, serving

DEPLOY = Path(__file__).parents[2] / "deploy"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: systemd)")
    return found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return folders(tmp_path)


class Manager:
    """The end of the socket at which systemd is told what a service does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.settimeout(20)

    def hears(self) -> dict[str, str]:
        """The next message, by its assignments."""
        lines = self.socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = (
        str(tmp_path / "notify") if request.param == "path" else f"@sluicegate-{os.getpid()}-{tmp_path.name}"
    )
    made = Manager(name)
    with made.socket:
        yield made


@pytest.mark.parametrize(("workers", "manager"), [("1", "path"), ("2", "abstract")], indirect=["manager"])
def test_manager_is_told_everything_in_order(workers: str, config: Path, manager: Manager) -> None:
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    status = "serving" if workers == "1" else "serving with 2 workers"
    env = {"NOTIFY_SOCKET": manager.address}
    with serving(config, "--workers", workers, env=env) as server:
        assert manager.hears() == {"READY": "1", "STATUS": status}
        choose(config, "two")
        server.process.send_signal(signal.SIGHUP)
        reloading = manager.hears()
        assert (
            began
            < int(reloading.pop("MONOTONIC_USEC"))
            <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        )
        assert reloading == {"RELOADING": "1", "STATUS": "reading the configuration again"}
        assert manager.hears() == {
            "READY": "1",
            "STATUS": f"{config}: reloaded; stores: 1, routes: 1",
        }
        assert content_of(server) == TWO
        config.write_text(f"[stores.s]\nurl = 7\n{ROUTE}")
        server.process.send_signal(signal.SIGHUP)
        assert manager.hears()["RELOADING"] == "1"
        assert manager.hears()["STATUS"].startswith(f"not reloaded: {config}:2: stores.s.url: found 7")
        server.process.send_signal(signal.SIGTERM)
        assert manager.hears()["STOPPING"] == "1"
        assert end(server, 0)[1] == 0


def test_nobody_is_told_where_nobody_listens(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    Notifier.of({}).ready("serving")
    assert caplog.text == ""
    environ = {"NOTIFY_SOCKET": str(tmp_path / "missing")}
    Notifier.of(environ).ready("serving")
    assert environ == {}
    assert "systemd was not told READY=1" in caplog.text


def test_status_stays_in_its_line(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "n"))
    with manager.socket:
        Notifier(manager.address).ready("a\nSTOPPING=1")
        assert manager.hears() == {"READY": "1", "STATUS": "a STOPPING=1"}


def test_manager_that_reads_nothing_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = Manager(str(tmp_path / "n"))
    with manager.socket:
        manager.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        notifier = Notifier(manager.address)
        while "was not told" not in caplog.text:
            notifier.ready("x" * 3000)


def test_socket_that_is_handed_over_is_served_by_all_workers(config: Path) -> None:
    activate = tool("systemd-socket-activate")
    port = free_port()
    command = [activate, f"--listen=127.0.0.1:{port}", "--fdname=http"]
    command += [SLUICEGATE, "serve", str(config), "--port", "1", "--workers", "2", "--admin", "off"]
    # Its first connection starts the gateway, and waits for it.
    with running(command, ready=answers(port, "/readyz", statuses=range(200, 201))) as process:
        server = Served(f"http://127.0.0.1:{port}", psutil.Process(process.pid), process.log)
        assert content_of(server) == ONE
        assert f"at http://127.0.0.1:{port}" in server.log.read_text()
        assert end(server, signal.SIGTERM)[1] == 0


def activated(code: str, count: int, sockets: list[socket.socket], names: str = "") -> str:
    """What a program prints that is started with some sockets as systemd starts one."""
    # The program that is started has the process id that its starter has, for the one becomes the other.
    starter = (
        "import fcntl, os, sys\n"
        "fds = [int(one) for one in sys.argv[1].split(',')]\n"
        "high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in fds]\n"
        "for place, fd in enumerate(high): os.dup2(fd, 3 + place, inheritable=True)\n"
        f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{count}', LISTEN_FDNAMES='{names}')\n"
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[2]])\n"
    )
    fds = [one.fileno() for one in sockets]
    done = subprocess.run(
        [sys.executable, "-c", starter, ",".join(map(str, fds)), code],
        pass_fds=fds,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


SHOW = """
import os
from sluicegate.gateway.systemd import BadActivation, activated_sockets
try:
    for one in activated_sockets(os.environ):
        print(one.name, one.socket.getsockname()[1], one.socket.get_inheritable())
    print([name for name in os.environ if name.startswith("LISTEN_")])
except BadActivation as exc:
    print(exc)
"""


def test_sockets_have_names_and_are_not_inherited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [each.getsockname()[1] for each in (one, two)]
        printed = activated(SHOW, 2, [one, two], "http:admin")
    assert printed.splitlines() == [f"http {ports[0]} False", f"admin {ports[1]} False", "[]"]


def unbound() -> socket.socket:
    return socket.socket()


def datagram() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@pytest.mark.parametrize("make", [unbound, datagram])
def test_what_does_not_listen_is_refused(make: Callable[[], socket.socket]) -> None:
    with make() as given:
        assert "file descriptor 3 is no listening TCP socket" in activated(SHOW, 1, [given])


def test_sockets_of_another_process_are_none_of_ours() -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    assert activated_sockets(environ) == ()
    assert environ == {}


@pytest.mark.parametrize("count", ["", "-1", "many", "99999"])
def test_number_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(BadActivation, match="expected a number of sockets"):
        activated_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


def test_several_sockets_for_clients_are_too_many(config: Path) -> None:
    code = f"import os, sys; os.execv({SLUICEGATE!r}, [{SLUICEGATE!r}, 'serve', {str(config)!r}])"
    code = f"import os; os.dup2(1, 2)\n{code}"
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        assert "found 2 sockets; expected one" in activated(code, 2, [one, two])


def test_units_are_what_systemd_understands(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    said = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\d+", said)
    program = executable("true", "apt-get install coreutils")
    service = (DEPLOY / "sluicegate.service").read_text()
    service = service.replace("/opt/sluicegate/bin/sluicegate", program)
    if version is None or int(version[0]) < 253:
        service = service.replace("Type=notify-reload", "Type=notify")
    (tmp_path / "sluicegate.service").write_text(service)
    shutil.copy(DEPLOY / "sluicegate.socket", tmp_path)
    units = [str(tmp_path / name) for name in ("sluicegate.service", "sluicegate.socket")]
    done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
