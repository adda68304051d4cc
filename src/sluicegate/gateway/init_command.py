"""`sluicegate init` and `sluicegate schema`: a configuration to begin with, and what editors check it by."""

from __future__ import annotations

import json
import os
import secrets
import stat
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from .schema import configuration_schema

TEMPLATE: Final = "template.toml"

_KEY_HERE: Final = "@LINK_KEY@"


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path), default=Path("sluicegate.toml"))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init_command(path: Path, *, force: bool) -> None:
    """Write a commented configuration to PATH: it serves the folder ./objects, and shows the rest."""
    try:
        is_file = _write(path, initial_configuration(secrets.token_urlsafe(32)), force=force)
    except FileExistsError as exc:
        raise click.ClickException(f"{path} is there already; --force replaces it") from exc
    except OSError as exc:
        raise click.ClickException(f"{path}: {exc.strerror or exc}") from exc
    if not is_file:
        return
    folder = path.parent / "objects"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise click.ClickException(f"{folder}: {exc.strerror or exc}") from exc
    click.echo(f"{path} is written; next: sluicegate check {path} && sluicegate serve {path}")


def _write(path: Path, text: str, *, force: bool) -> bool:
    """Write a text that only its owner may read; false where it went into a pipe or a device."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if is_file:
            # It may have been there, for others to read. What is no file is not ours to change.
            os.fchmod(file.fileno(), 0o600)
        file.write(text)
    return is_file


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the configuration, for editors that complete and check TOML."""
    click.echo(json.dumps(configuration_schema(), indent=2))


def initial_configuration(link_key: str) -> str:
    """The configuration to begin with, with this key for signed links."""
    template = files(__package__).joinpath(TEMPLATE).read_text("utf-8")
    return template.replace(_KEY_HERE, link_key)
