"""`sluicegate init` and `sluicegate schema`: a configuration to begin with, and what editors check it by."""

from __future__ import annotations

import json
import secrets
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
    text = initial_configuration(secrets.token_urlsafe(32))
    try:
        (path.parent / "objects").mkdir(exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            # It holds a key.
            path.chmod(0o600)
            file.write(text)
    except FileExistsError as exc:
        raise click.ClickException(f"{path} is there already; --force replaces it") from exc
    except OSError as exc:
        raise click.ClickException(f"{path}: {exc.strerror or exc}") from exc
    click.echo(f"{path} is written; next: sluicegate check {path} && sluicegate serve {path}")


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the configuration, for editors that complete and check TOML."""
    click.echo(json.dumps(configuration_schema(), indent=2))


def initial_configuration(link_key: str) -> str:
    """The configuration to begin with, with this key for signed links."""
    template = files(__package__).joinpath(TEMPLATE).read_text("utf-8")
    return template.replace(_KEY_HERE, link_key)
