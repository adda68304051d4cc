"""The stores behind the gateway: JuiceFS, a real S3 server, and an nginx folder, which costs little."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from tests.servers.nginx import STATUS_PATH, nginx
from tests.servers.process import temporary_folder
from tests.servers.s3 import S3Server, juicefs

BUCKET = "images"
TASK = 1
KEY = f"test/{TASK}/image.jpg"
PATH = f"/tasks/{TASK}/image"

_PIECE = 16 << 20


@contextmanager
def juicefs_store(image: bytes) -> Iterator[S3Server]:
    """Run a JuiceFS gateway that holds the image of task 1."""
    with juicefs() as store:
        client = store.client()
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key=KEY, Body=image, ContentType="image/jpeg")
        yield store


@contextmanager
def nginx_store(image: bytes) -> Iterator[S3Server]:
    """Run an nginx that serves the image of task 1 as S3 would, path style, and ignores signatures.

    Raises `ServerMissing` where nginx is not installed.
    """
    with temporary_folder() as folder:
        _object_file(folder).write_bytes(image)
        with nginx(folder) as server:
            yield as_store(server.url, server.pid)


@contextmanager
def sparse_store(size: int) -> Iterator[S3Server]:
    """Run an nginx whose image of task 1 is `size` zero bytes that take no room on the disk."""
    with temporary_folder() as folder:
        path = _object_file(folder)
        path.touch()
        os.truncate(path, size)
        with nginx(folder) as server:
            yield as_store(server.url, server.pid)


@contextmanager
def random_store(size: int) -> Iterator[tuple[S3Server, Path]]:
    """Run an nginx whose image of task 1 is `size` bytes of noise; yields the file that holds them too."""
    with temporary_folder() as folder:
        path = _object_file(folder)
        with path.open("wb") as file:
            for start in range(0, size, _PIECE):
                file.write(os.urandom(min(_PIECE, size - start)))
        with nginx(folder) as server:
            yield as_store(server.url, server.pid), path


def answers_being_sent(store: S3Server) -> int:
    """Return how many answers an nginx store is sending at this moment, this question left out."""
    with build_opener(ProxyHandler({})).open(store.endpoint_url + STATUS_PATH, timeout=10) as answer:
        words = answer.read().decode().split()
    return int(words[words.index("Writing:") + 1]) - 1


STORES: dict[str, Callable[[bytes], AbstractContextManager[S3Server]]] = {
    "juicefs": juicefs_store,
    "nginx": nginx_store,
}


def as_store(url: str, pid: int) -> S3Server:
    """Return a plain HTTP server as an S3 server with keys that nobody checks."""
    return S3Server("nginx", url, "unchecked", "unchecked", "us-east-1", verifies_signatures=False, pid=pid)


def direct_url(store: S3Server) -> str:
    """Return a URL at which anybody may download the image of task 1 from the store itself for an hour."""
    parameters = {"Bucket": BUCKET, "Key": KEY}
    return str(store.client().generate_presigned_url("get_object", Params=parameters, ExpiresIn=3600))


def _object_file(folder: Path) -> Path:
    path = folder / BUCKET / KEY
    path.parent.mkdir(parents=True)
    return path
