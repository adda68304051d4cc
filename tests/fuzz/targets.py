"""The fuzz targets by their names: each takes any bytes, and raises for a broken promise alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from . import connections, credentials, gateways, values

Target = Callable[[bytes], None]

CORPUS: Final = Path(__file__).parent / "corpus"
"""Inputs that are kept, in a folder for each target: some to begin with, and those that were found."""

TARGETS: Final[Mapping[str, Target]] = {
    "path": values.path,
    "range": values.ranges,
    "conditions": values.conditions,
    "forwarded": values.forwarded,
    "redirect": values.redirect,
    "literal": values.literal,
    "origin": values.origin,
    "config": values.config,
    "link": credentials.link,
    "link_of": credentials.link_of,
    "token": credentials.token,
    "password": credentials.password,
    "api_key": credentials.api_key,
    "request": gateways.request,
    "connection": connections.connection,
}


def inputs(name: str) -> list[Path]:
    """The files of a target's inputs."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
