"""A gateway whose configuration changes between two folders of objects, and how to see which one it has."""

import hashlib
import os
import signal
from pathlib import Path

import httpx

from .config_texts import ROUTE
from .test_cli_serve import Served, wait_for_log

ONE = os.urandom(3_000_000)
"""What is served at first: far more than the sockets between take in for a client that does not read."""

TWO = os.urandom(100_000)
"""What the second folder has under the same name."""

RELOADED = "reloaded; stores: 1, routes: 1"


def folders(place: Path) -> Path:
    """Make both folders; returns the configuration, which serves the first one."""
    for folder, content in (("one", ONE), ("two", TWO)):
        (place / folder).mkdir()
        (place / folder / "a.bin").write_bytes(content)
    path = place / "sluicegate.toml"
    choose(path, "one")
    return path


def choose(config: Path, folder: str, extra: str = "") -> None:
    """Write a configuration that serves a folder."""
    config.write_text(f'{extra}[stores.s]\nurl = "file://./{folder}"\n{ROUTE}')


def reload(server: Served, count: int = 1) -> None:
    """Send SIGHUP, and wait until the log says for the `count`th time that it was obeyed."""
    server.process.send_signal(signal.SIGHUP)
    wait_for_log(server, RELOADED, count)


def content_of(server: Served) -> bytes:
    """The object, by a connection of its own."""
    return httpx.get(f"{server.url}/a.bin", trust_env=False).content


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
