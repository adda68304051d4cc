"""`sluicegate doctor`: the command around what examines stores and upstreams."""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import click

from .config import Config, ConfigError, load_config
from .doctor import BadAim, Place, Section, Shown, has_problem, places, read_aims, secrets_of
from .local_files import check_files

EXIT_PROBLEM: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
"""What shells say of whom SIGINT ended."""


@click.command("doctor")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--object", "objects", multiple=True, metavar="STORE:KEY", help="Test that store with this object."
)
@click.option(
    "--request",
    "requests",
    multiple=True,
    metavar="PATH",
    help="Test with what this request path leads to, such as /tasks/1/image.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(config: Path, objects: tuple[str, ...], requests: tuple[str, ...], as_json: bool) -> None:
    """Connect to each store and upstream of CONFIG, and to its Redis, and say what is found and what to do.

    A store is tested with the largest of the objects that it lists first, unless --object names another.
    Exits with 0 if there is no problem, with 1 if there are some. Nothing is written to any store.
    """
    try:
        checked = load_config(config, os.environ, check_files)
        aims = read_aims(checked, objects, requests)
    except (ConfigError, BadAim) as exc:
        click.echo(str(exc), err=True)
        sys.exit(EXIT_USAGE)
    try:
        sections = _examine(checked, places(checked, aims), as_json)
    except KeyboardInterrupt:
        click.echo("interrupted: what is missing was not looked at", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(EXIT_PROBLEM if has_problem(sections) else 0)


def _examine(config: Config, examined: Iterable[Place], as_json: bool) -> list[Section]:
    """Examine all places, and print what is found: JSON at the end, text as it comes."""
    shown = Shown(_knows_unicode(), secrets_of(config))

    def show(section: Section) -> None:
        if not as_json:
            click.echo(shown.section(section))

    sections = asyncio.run(_one_by_one(examined, show))
    click.echo(shown.document(sections) if as_json else shown.total(sections))
    return sections


async def _one_by_one(examined: Iterable[Place], show: Callable[[Section], None]) -> list[Section]:
    sections = []
    for place in examined:
        section = await place.section()
        show(section)
        sections.append(section)
    return sections


def _knows_unicode() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return codecs.lookup(encoding).name == "utf-8"
