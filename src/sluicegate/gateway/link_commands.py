"""`sluicegate sign`, `verify`, `revoke`, `new-key`, `hash-password`: what operators do by hand."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from sluicegate import SluicegateError
from sluicegate.access.api_keys import hash_key, new_key
from sluicegate.access.base import AccessRequest, Refusal
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks

from .config import Config, ConfigError, load_config
from .config.verifiers import links_of
from .durations import DURATION, read_duration
from .link_desk import plain_path, revoke_link, signed_auth, signed_link

_SENDABLE = re.compile(r"[!\"$->@-~]+")
"""Visible ASCII without `?` and `#`."""

_CONFIG = click.argument("config", type=click.Path(path_type=Path))
_AUTH = click.option("--auth", "name", help="Name of the [auth.NAME]; needed if there are several.")


@click.command("sign")
@_CONFIG
@click.argument("path")
@_AUTH
@click.option(
    "--expires",
    default="1h",
    show_default=True,
    callback=lambda ctx, param, value: read_duration(value, least=1),
    help=f"How long it is valid: {DURATION}.",
)
@click.option("--prefix", is_flag=True, help="Allow everything below PATH, which ends with a slash.")
@click.option(
    "--not-before",
    callback=lambda ctx, param, value: read_duration(value),
    help=f"How long from now it is not valid yet: {DURATION}.",
)
@click.option("--network", help="The client's address must be in it, such as 192.0.2.0/24.")
@click.option("--filename", help="The name to save the answer under.")
@click.option("--uses", type=click.IntRange(1), help="How many GET requests it allows.")
@click.option("--id", "link_id", help="A name, to revoke it by; one is made with --uses or --revocable.")
@click.option("--revocable", is_flag=True, help="Give it an id.")
@click.option("--subject", help="Who it is for; the log says so.")
@click.option(
    "--url",
    default="",
    callback=lambda ctx, param, value: _base_url(value),
    help="What comes before the path, such as https://files.example.com.",
)
def sign_command(  # noqa: PLR0913 - what a link may say, all by name
    config: Path,
    path: str,
    name: str | None,
    expires: int,
    *,
    prefix: bool,
    not_before: int | None,
    network: str | None,
    filename: str | None,
    uses: int | None,
    link_id: str | None,
    revocable: bool,
    subject: str | None,
    url: str,
) -> None:
    """Make a link for PATH (percent-encoded, as a client asks for it) with a key of CONFIG."""
    with _said():
        asked = {
            "path": path,
            "expires_in": expires,
            "is_prefix": prefix,
            "not_before": None if not_before is None else int(time.time() + not_before),
            "network": network,
            "filename": filename,
            "uses": uses,
            "id": link_id,
            "revocable": revocable,
            "subject": subject,
            "auth": name,
        }
        made = signed_link(load_config(config, os.environ), asked)
        click.echo(f"{url.rstrip('/')}{made['link']}")
        if "id" in made:
            click.echo(f"id: {made['id']}", err=True)


@click.command("verify")
@_CONFIG
@click.argument("link")
@_AUTH
def verify_command(config: Path, link: str, name: str | None) -> None:
    """Say whether LINK (a URL, or what comes behind the host) is valid, and what it allows.

    Exits with 0 if it is, with 1 if not. No use of it is counted, and who may use it is not asked.
    """
    with _said():
        verdict = _judge(load_config(config, os.environ), name, link)
        if isinstance(verdict, str):
            click.echo(f"not valid: {verdict}", err=True)
            sys.exit(1)
        for key, value in verdict.items():
            click.echo(f"{key}: {value}")


@click.command("revoke")
@_CONFIG
@click.argument("link_id")
@_AUTH
def revoke_command(config: Path, link_id: str, name: str | None) -> None:
    """Add LINK_ID to the file of revoked links: gateways that read it refuse the link within a second."""
    with _said():
        file = revoke_link(load_config(config, os.environ), link_id, name)
        click.echo(f"{link_id} is revoked in {file}")


@click.command("new-key")
def new_key_command() -> None:
    """Make a key of 256 bits: for signing links, or with its hash for a client of the API."""
    key = new_key()
    click.echo(f"key:  {key}\nhash: {hash_key(key)}")


@click.command("hash-password")
def hash_password_command() -> None:
    """Ask for a password, or read a line of the input, and print its hash for [auth.NAME.users]."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    # Here: the other commands need no argon2.
    from sluicegate.access.passwords import hash_password  # noqa: PLC0415

    with _said():
        click.echo(hash_password(password))


def _base_url(text: str) -> str:
    """What links begin with; raises `click.BadParameter` for what no path can follow."""
    try:
        parts = urlsplit(text)
        is_base = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_base = False
    if text and (not is_base or not _SENDABLE.fullmatch(text)):
        raise click.BadParameter(
            f"found {text!r}; expected http:// or https:// and a host, without '?' and '#', such as "
            "https://files.example.com"
        )
    return text


def _judge(config: Config, name: str | None, link: str) -> dict[str, str] | str:
    """What a link allows, or why nothing."""
    links: SignedLinks = links_of(signed_auth(config, name))
    try:
        parts = urlsplit(link)
        path = plain_path(config, parts.path)
    except ValueError as exc:
        return str(exc)
    token = AccessRequest("GET", path, parts.query).parameter(links.options.parameter)
    if token is None:
        return f"it has no parameter {links.options.parameter!r}"
    found = links.check(token, "GET", path)
    if isinstance(found, Refusal):
        return found.reason
    ends = datetime.fromtimestamp(found.expires, UTC).isoformat(timespec="seconds")
    said = ((field.name, getattr(found.claims, field.name)) for field in fields(LinkClaims))
    given = {name.replace("_", "-"): str(value) for name, value in said if value is not None}
    return {"valid": path, "key": found.key_id, "expires": ends, **given}


@contextmanager
def _said() -> Iterator[None]:
    """Say mistakes in a line, and exit: with 2 for a configuration, with 1 for anything else."""
    try:
        yield
    except ConfigError as exc:
        click.echo(str(exc), err=True)
        sys.exit(2)
    except SluicegateError as exc:
        raise click.ClickException(str(exc)) from exc
