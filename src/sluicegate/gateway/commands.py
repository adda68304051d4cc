"""The subcommands of `sluicegate`: serve, check, demo. Errors are lines, never tracebacks."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sized
from pathlib import Path
from typing import Final, NoReturn

import click

from sluicegate import SluicegateError, __version__

from .config import ConfigError, load_config
from .demo import demonstrate
from .log import configure_log
from .server import ended_by_signals, listen, serve, url_of

logger = logging.getLogger("sluicegate")

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080

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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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
def serve_command(config: Path, host: str, port: int, workers: int) -> None:
    """Serve the routes of CONFIG, a TOML file."""
    try:
        checked = load_config(config, os.environ)
        with ended_by_signals(), listen(host, port) as bound:
            configure_log(checked.gateway.log)
            logger.info("sluicegate %s: %s at %s", __version__, config, url_of(bound))
            serve(checked, bound, workers)
    except SluicegateError as exc:
        _fail(exc)


@sluicegate.command("check")
@_CONFIG
def check_command(config: Path) -> None:
    """Check CONFIG, and report every mistake in it at once.

    Exits with 0 if there is none, with 2 if there are some. Nothing is connected to.
    """
    try:
        checked = load_config(config, os.environ)
    except ConfigError as exc:
        _fail(exc)
    stores, routes = _counted(checked.stores, "store"), _counted(checked.routes, "route")
    click.echo(f"{config}: {stores}, {routes}, no mistakes")


@sluicegate.command("demo")
@_HOST
@_PORT
def demo_command(host: str, port: int) -> None:
    """Serve sample objects from a folder, and a small upstream, with nothing to set up."""
    try:
        with ended_by_signals(), listen(host, port) as bound:
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
