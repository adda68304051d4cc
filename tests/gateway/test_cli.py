"""The command: what it says, and with which code it ends. Nothing here serves.

What needs no process of its own has none: starting one takes most of a second.
"""

import errno
import io
import os
import re
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sluicegate import __version__
from sluicegate.gateway.commands import sluicegate
from tests.servers.process import executable

from .config_texts import ENVIRON, EXAMPLE, ROUTE, s3

SLUICEGATE = executable("sluicegate", "pip install -e '.[server]'")
SECRET = "very-secret-7f3a"
RUN_SECONDS = 30.0


def told(*arguments: str | Path, **environ: str) -> Result:
    """What the command says in this process, in an environment without settings of AWS."""
    aws = {name: None for name in os.environ if name.startswith("AWS_")}
    return CliRunner().invoke(
        sluicegate, [*map(str, arguments)], prog_name="sluicegate", env={**aws, **environ}
    )


def run(*arguments: str | Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, in an environment without settings of AWS."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [SLUICEGATE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env={**inherited, **environ},
        check=False,
    )


def written(folder: Path, text: str) -> Path:
    config = folder / "sluicegate.toml"
    config.write_text(text)
    return config


COMMANDS = (
    *("serve", "reload", "check", "doctor", "demo", "init", "schema"),
    *("sign", "verify", "revoke", "new-key", "hash-password"),
)


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=["", *COMMANDS])
def test_help_says_what_the_command_does_and_takes(arguments: list[str]) -> None:
    done = told(*arguments, "--help")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {' '.join(['sluicegate', *arguments])} [OPTIONS]")
    for option in {
        "": [*COMMANDS, "--version"],
        "serve": ["--host", "--port", "--workers", "--admin"],
        "sign": ["--expires", "--prefix", "--uses"],
    }.get("".join(arguments), []):
        assert option in done.stdout


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"sluicegate, version {__version__}\n"


class Full(io.StringIO):
    """A place where nothing can be written any more."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("command", ["--help", "schema", "new-key", "check", "doctor", "sign"])
def test_output_that_is_full_is_one_clear_line(command: str, tmp_path: Path) -> None:
    links = f'[auth.a]\ntype = "signed"\nkeys.k = "{"k" * 40}"\n[stores.s]\nurl = "memory://"\n'
    config = str(written(tmp_path, f'{links}{ROUTE}auth = "a"\n'))
    arguments = {"check": [config], "doctor": [config], "sign": [config, "/a"]}.get(command, [])
    errors = io.StringIO()
    with redirect_stdout(Full()), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        sluicegate([command, *arguments])
    said = f"Error: cannot write to the output: {os.strerror(errno.ENOSPC)}\n"
    assert (ended.value.code, errors.getvalue()) == (1, said)


def test_command_without_standard_streams_gives_their_places_to_nobody(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from sluicegate.cli import main\n"
        "sys.argv = ['sluicegate', 'schema']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "null = os.stat(os.devnull)\n"
        "same = all(os.path.samestat(os.fstat(number), null) for number in range(3))\n"
        "os._exit(7 if same and sys.stderr is not None and os.get_inheritable(2) else 1)\n"
    )
    closed = ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, program]
    assert subprocess.run(closed, check=False, timeout=RUN_SECONDS).returncode == 7


def test_unknown_command_is_a_usage_error() -> None:
    done = run("sirve")
    assert done.returncode == 2
    assert "No such command 'sirve'" in done.stderr


def test_without_the_extra_the_command_says_how_to_install_it() -> None:
    # A finder that finds no click stands for an environment without it.
    program = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click':\n"
        "            raise ModuleNotFoundError(\"No module named 'click'\", name='click')\n"
        "sys.meta_path.insert(0, Without())\n"
        "from sluicegate.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "sluicegate: click is not installed; the command needs: pip install 'sluicegate[server]'\n"
    )


def test_what_only_some_configurations_need_is_not_loaded_for_all(tmp_path: Path) -> None:
    config = written(tmp_path, f'[stores.s]\nurl = "memory://"\n{ROUTE}')
    costly = ("aiohttp", "argon2", "botocore", "cryptography", "jwt", "limits", "opentelemetry", "redis")
    program = (
        "import sys\n"
        "from sluicegate.gateway.commands import sluicegate\n"
        f"sluicegate(['check', {str(config)!r}], standalone_mode=False)\n"
        f"print([name for name in {costly!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_check_of_a_good_file_counts_what_is_in_it(tmp_path: Path) -> None:
    config = written(tmp_path, EXAMPLE)
    done = run("check", config, **{name: ENVIRON[name] for name in ENVIRON if name.startswith("AWS_")})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{config}: 1 store, 3 routes, no mistakes\n"


MANY_MISTAKES = f"""\
[stores.images]
url = "s3://images"
regoin = "us-east-1"
access_key_id = "AKIA{SECRET}"
secret_access_key = "{SECRET}${{SLUICEGATE_TESTS_UNSET}}"
client = "boto"

[stores.files]
url = "ftp://user:{SECRET}@files"

[[routes]]
path = "/tasks/{{task_id:number}}"
object = "images:{{task_id}}"

[[routes]]
path = "/a/{{key:path}}"
object = "imagse:{{key}}"

[[routes]]
path = "/b/{{key}}"
upstream = "http://{{key}}/x?token={SECRET}"
read_timeout = 0

[[routes]]
path = "/healthz"
"""


def test_check_lists_every_mistake_by_line_without_secrets_or_traceback(tmp_path: Path) -> None:
    config = written(tmp_path, MANY_MISTAKES)
    done = run("check", config)
    assert (done.returncode, done.stdout) == (2, "")
    *mistakes, count = done.stderr.splitlines()
    places = [
        re.match(rf"{re.escape(str(config))}:([0-9]+): (\S+): found .+; expected .+", line)
        for line in mistakes
    ]
    assert [(int(place[1]), place[2]) for place in places if place] == [
        (3, "stores.images.regoin"),
        (5, "stores.images.secret_access_key"),
        (6, "stores.images.client"),
        (9, "stores.files.url"),
        (12, "routes[0].path"),
        (17, "routes[1].object"),
        (21, "routes[2].upstream"),
        (22, "routes[2].read_timeout"),
        (24, "routes[3]"),
        (25, "routes[3].path"),
    ]
    assert count == "10 mistakes"
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("missing.toml", None, "found No such file or directory; expected a file that can be read"),
        (".", None, "found Is a directory; expected a file that can be read"),
        ("syntax.toml", "[stores", "found a TOML syntax error"),
        ("latin.toml", b"# \xe9", "found a byte that is not UTF-8 at offset 2"),
        ("folder.toml", f'[stores.s]\nurl = "file:///no/such/folder"\n{ROUTE}', "/no/such/folder"),
    ],
    ids=["missing", "folder", "syntax", "not-utf8", "store-folder-missing"],
)
def test_file_that_cannot_be_used_is_one_clear_line(
    command: str, name: str, text: str | bytes | None, said: str, tmp_path: Path
) -> None:
    config = tmp_path / name
    if text is not None:
        config.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = told(command, config)
    assert (done.exit_code, done.stdout) == (2, "")
    line, count = done.stderr.splitlines()
    assert line.startswith(str(config))
    assert said in line
    assert count == "1 mistake"


@pytest.mark.parametrize("command", [["serve"], ["demo"]], ids=["serve", "demo"])
def test_port_in_use_is_one_clear_line(command: list[str], tmp_path: Path) -> None:
    config = [str(written(tmp_path, s3()))] if command == ["serve"] else []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(*command, *config, "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port\n"
    )


def test_admin_address_in_use_names_its_own_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("serve", written(tmp_path, s3()), "--port", "0", "--admin", address)
    assert (done.returncode, done.stdout) == (1, "")
    reason = f"cannot listen on {address}: Address already in use"
    assert done.stderr == f"[admin] address: {reason}; --admin takes another, or 'off'\n"


@pytest.mark.parametrize(
    "host",
    ["no.such.host.invalid", "203.0.113.7", "..", "a" * 70, "with space", "::g"],
    ids=["unknown", "not-ours", "dots", "long-label", "space", "not-ipv6"],
)
def test_host_that_cannot_be_listened_on_is_one_clear_line(host: str) -> None:
    done = told("demo", "--port", "0", "--host", host)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("cannot listen on ")
    assert host in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--port", "65536"), ("--port", "-1"), ("--port", "http"), ("--workers", "0"), ("--workers", "two")],
)
def test_option_out_of_range_is_a_usage_error(option: str, value: str, tmp_path: Path) -> None:
    done = told("serve", written(tmp_path, s3()), option, value)
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.stderr


@pytest.mark.parametrize(
    ("client", "workers"),
    [("obstore", "1"), ("aiobotocore", "1"), ("botocore", "1"), ("obstore", "2")],
    ids=["obstore", "aiobotocore", "botocore", "two-workers"],
)
def test_store_that_cannot_be_opened_fails_the_start_with_a_clear_line(
    client: str, workers: str, tmp_path: Path
) -> None:
    config = written(tmp_path, s3(f'client = "{client}"', 'profile = "no-such-profile"'))
    done = run(
        *("serve", config, "--port", "0", "--workers", workers, "--admin", "off"),
        AWS_CONFIG_FILE=str(tmp_path / "none"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"),
    )
    assert done.returncode == 1
    assert re.search(r"cannot open store 's': .*no-such-profile", done.stderr)
    assert "Traceback" not in done.stderr
