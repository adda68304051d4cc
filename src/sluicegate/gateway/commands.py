"""The subcommands of `sluicegate`. Errors are lines, never tracebacks."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator, Sized
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from sluicegate import SluicegateError, __version__

from .asking import DEFAULT_ADMIN, CannotAsk, ask_reload
from .config import Config, ConfigError, admin_config, load_admin, load_config
from .listening import Listeners, bound_unsent, listen, listen_for_admin, url_of
from .log import configure_log
from .reloading import ConfigFile, Operation
from .server import serve
from .signals import HangUps, ended_by_signals
from .systemd import BadActivation, Notifier, activated_sockets

logger = logging.getLogger("sluicegate")

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080

OTHER_PORT: Final = "choose another with --port"

ADMIN_SOCKET: Final = "admin"
"""The name of a socket that systemd hands over for the administration, and not for clients."""

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2

_CONFIG = click.argument("config", type=click.Path(path_type=Path))
_HOST = click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
_PORT = click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.",
)


_ELSEWHERE: Final = {
    "doctor": "doctor_command:doctor_command",
    "hash-password": "link_commands:hash_password_command",
    "init": "init_command:init_command",
    "new-key": "link_commands:new_key_command",
    "revoke": "link_commands:revoke_command",
    "schema": "init_command:schema_command",
    "sign": "link_commands:sign_command",
    "verify": "link_commands:verify_command",
}
"""Commands that are imported when they are asked for: what they need would hold up all the others."""


_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What a write to stdout may fail with. That nobody reads any more, click knows itself."""


class _Commands(click.Group):
    """The commands of this file, and those that stand elsewhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*self.commands, *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            module, _, name = _ELSEWHERE[cmd_name].partition(":")
            found: click.Command = getattr(import_module(f".{module}", __package__), name)
            return found
        return super().get_command(ctx, cmd_name)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        # It prints help.
        with _output():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _output():
            return super().invoke(ctx)


@contextmanager
def _output() -> Iterator[None]:
    """Make a line of the failure to write what a command prints."""
    try:
        yield
    except OSError as exc:
        if exc.filename is not None or exc.errno not in _UNWRITABLE:
            raise
        # Or else what is left in it would be tried again at the end, and that told in Python's words.
        with suppress(OSError):
            sys.stdout.close()
        raise click.ClickException(f"cannot write to the output: {exc.strerror}") from exc


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sluicegate")
def sluicegate() -> None:
    """Stream objects from object storage, or from another service, through your own API."""


@sluicegate.command("serve")
@_CONFIG
@_HOST
@_PORT
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Processes that share the port.",
)
@click.option(
    "--admin",
    metavar="HOST:PORT",
    help="Address for who looks after the gateway, instead of [admin] address; 'off' for none.",
)
def serve_command(config: Path, host: str, port: int, workers: int, admin: str | None) -> None:
    """Serve the routes of CONFIG, a TOML file.

    SIGHUP and `sluicegate reload` read it again. A listening socket that systemd hands over is used
    instead of --host and --port.
    """
    file = ConfigFile(config, os.environ)
    operation = Operation(file, HangUps(), Notifier.of(os.environ))
    try:
        checked = file.read()
        with ExitStack() as stack:
            stack.enter_context(ended_by_signals(operation.hang_ups.handle))
            configure_log(checked.gateway.log)
            listeners = stack.enter_context(closing(_listeners(checked, host, port, admin)))
            _announce(config, checked, listeners)
            serve(checked, listeners, workers, operation)
    except SluicegateError as exc:
        _fail(exc)


def _listeners(checked: Config, host: str, port: int, admin: str | None) -> Listeners:
    """The sockets that this process was started with, or else new ones."""
    given = activated_sockets(os.environ)
    clients = [one.socket for one in given if one.name != ADMIN_SOCKET]
    admins = [one.socket for one in given if one.name == ADMIN_SOCKET]
    if len(clients) > 1 or len(admins) > 1:
        raise BadActivation(
            f"LISTEN_FDS: found {len(given)} sockets; expected one, and at most another one whose name is "
            f"{ADMIN_SOCKET!r}"
        )
    if clients:
        bound_unsent(clients[0])
    else:
        clients = [listen(host, port, OTHER_PORT)]
    wanted = checked.admin if admin is None else admin_config(admin, checked.admin)
    return Listeners(clients[0], admins[0] if admins else listen_for_admin(wanted))


def _announce(file: Path, checked: Config, listeners: Listeners) -> None:
    scheme = "http" if checked.tls is None else "https"
    logger.info("sluicegate %s: %s at %s", __version__, file, url_of(listeners.clients, scheme))
    if listeners.admin is not None:
        logger.info("metrics and reload at %s", url_of(listeners.admin))


@sluicegate.command("reload")
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option(
    "--admin",
    metavar="HOST:PORT",
    help=f"Address of the gateway's administration, instead of [admin] address or {DEFAULT_ADMIN}.",
)
def reload_command(config: Path | None, admin: str | None) -> None:
    """Let a gateway that runs read its configuration again.

    CONFIG is looked at for the address of its administration, if that is not the usual one; a gateway that
    serves another file refuses. Exits with 0 if the new one is in place, with 1 if it is not, and prints why.
    """
    try:
        result = ask_reload(admin or _admin_address(config), config)
    except SluicegateError as exc:
        _fail(exc)
    click.echo(result.message, err=not result.ok)
    if not result.ok:
        sys.exit(EXIT_FAILURE)


def _admin_address(config: Path | None) -> str:
    """Where the gateway of a file is asked. What else stands in the file, that gateway reads itself."""
    if config is None:
        return DEFAULT_ADMIN
    address = load_admin(config, os.environ).address
    if address is None:
        raise CannotAsk(
            f"{config}: [admin] address: found 'off', so nobody can be asked; expected an address, or send "
            "SIGHUP to the process"
        )
    return address


@sluicegate.command("check")
@_CONFIG
def check_command(config: Path) -> None:
    """Check CONFIG, and report every mistake in it at once.

    Exits with 0 if there is none, with 2 if there are some. Files that it names are opened, nothing is
    connected to.
    """
    from .local_files import check_files  # noqa: PLC0415 - it loads certificates, which no other needs

    try:
        checked = load_config(config, os.environ, check_files)
    except ConfigError as exc:
        _fail(exc)
    stores, routes = _counted(checked.stores, "store"), _counted(checked.routes, "route")
    click.echo(f"{config}: {stores}, {routes}, no mistakes")


@sluicegate.command("demo")
@_HOST
@_PORT
def demo_command(host: str, port: int) -> None:
    """Serve sample objects from a folder, and a small upstream, with nothing to set up."""
    from .demo import demonstrate  # noqa: PLC0415 - its upstream needs what tests need

    try:
        with ended_by_signals(), listen(host, port, OTHER_PORT) as bound:
            demonstrate(bound, url_of(bound), click.echo)
    except SluicegateError as exc:
        _fail(exc)


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _fail(error: SluicegateError) -> NoReturn:
    """Say what is wrong, and exit: with 2 for a configuration, with 1 for anything else."""
    click.echo(str(error), err=True)
    if isinstance(error, ConfigError):
        click.echo(_counted(error.mistakes, "mistake"), err=True)
        sys.exit(EXIT_USAGE)
    sys.exit(EXIT_FAILURE)
