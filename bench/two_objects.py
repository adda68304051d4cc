"""A store with a large object, which many clients take their time for, and a small one for all others."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.servers.nginx import nginx
from tests.servers.process import temporary_folder
from tests.servers.s3 import S3Server

from .origins import BUCKET, as_store

LARGE_PATH = "/tasks/1/image"
SMALL_PATH = "/tasks/2/image"
"""Where a gateway serves the two."""

SMALL = 20 * 1024


@dataclass(frozen=True, slots=True)
class TwoObjects:
    """A running store, and the SHA-256 (hexadecimal) of what it holds."""

    store: S3Server
    large_sha256: str
    small_sha256: str


@contextmanager
def two_objects(large: int) -> Iterator[TwoObjects]:
    """Run an nginx with an object of `large` bytes of noise, and one of 20 KiB.

    Raises `ServerMissing` where nginx is not installed.
    """
    with temporary_folder() as folder:
        digests = []
        for number, size in ((1, large), (2, SMALL)):
            path = folder / BUCKET / f"test/{number}/image.jpg"
            path.parent.mkdir(parents=True)
            content = os.urandom(size)
            path.write_bytes(content)
            digests.append(hashlib.sha256(content).hexdigest())
        with nginx(folder) as server:
            yield TwoObjects(as_store(server.url, server.pid), *digests)
