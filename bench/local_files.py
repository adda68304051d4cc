"""A folder of files, served by the gateway (`file://`) or by nginx: no store is behind them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.asgi import ServedApp
from tests.servers.nginx import nginx
from tests.servers.process import temporary_folder

from .gateway import configured_gateway

SMALL = "small.bin"
SMALL_SIZE = 20 * 1024
LARGE = "large.bin"

_CONFIGURATION = """
[stores.files]
url = {url}

[[routes]]
path = "/{{key:path}}"
object = "files:{{key}}"
"""


@contextmanager
def files(large_size: int) -> Iterator[Path]:
    """Yield a folder with `SMALL`, of noise, and `LARGE`, zeros that take no room on the disk."""
    with temporary_folder() as folder:
        (folder / SMALL).write_bytes(os.urandom(SMALL_SIZE))
        (folder / LARGE).touch()
        os.truncate(folder / LARGE, large_size)
        yield folder


def configuration(folder: Path) -> str:
    """Return the configuration of a gateway that serves a folder at `/KEY`."""
    # A JSON string is a TOML string.
    return _CONFIGURATION.format(url=json.dumps(folder.resolve().as_uri()))


@contextmanager
def file_gateway(folder: Path) -> Iterator[ServedApp]:
    """Run `sluicegate serve` on a folder."""
    with configured_gateway(configuration(folder)) as served:
        yield served


@contextmanager
def file_nginx(folder: Path) -> Iterator[ServedApp]:
    """Run nginx on a folder, with sendfile; raises `ServerMissing` where it is not installed."""
    with nginx(folder) as server:
        yield ServedApp(server.url, server.pid)
