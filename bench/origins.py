"""The origins behind gateway and peers, on loopback: nginx serving a folder, JuiceFS, and a slow one.

nginx is the ideal store, which costs next to nothing: it serves a folder as S3 would, path style, and ignores
signatures. JuiceFS is a real S3 server, which verifies them. The slow one is a `FaultyOrigin`, which runs in
this process.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from sluicegate.testing import FaultyOrigin
from tests.servers.nginx import STATUS_PATH, NginxServer, nginx
from tests.servers.process import temporary_folder
from tests.servers.s3 import S3Server, juicefs

BUCKET = "images"
TASK = 1
KEY = f"test/{TASK}/image.jpg"
PATH = f"/tasks/{TASK}/image"
"""Where gateway and applications serve the object with this key: the image of task 1."""

FAULTY = "faulty"
"""The name of an S3 server that is a `FaultyOrigin`."""

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
    """Run an nginx that holds the image of task 1.

    Raises `ServerMissing` where nginx is not installed.
    """
    with temporary_folder() as folder:
        _object_file(folder).write_bytes(image)
        with nginx(folder, listing=True) as server:
            yield as_store(server.url, server.pid)


@contextmanager
def sparse_store(size: int, *, tls: bool = False) -> Iterator[S3Server]:
    """Run an nginx whose image of task 1 is `size` zero bytes that take no room on the disk.

    The server that is yielded is the plain one, or with `tls` the one that speaks TLS.
    """
    with temporary_folder() as folder:
        path = _object_file(folder)
        path.touch()
        os.truncate(path, size)
        with nginx(folder, tls=tls, listing=True) as server:
            yield _over_tls(server) if tls else as_store(server.url, server.pid)


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


STORES: dict[str, Callable[[bytes], AbstractContextManager[S3Server]]] = {
    "juicefs": juicefs_store,
    "nginx": nginx_store,
}


def answers_being_sent(store: S3Server) -> int:
    """Return how many answers an nginx store is sending at this moment, this question left out."""
    with build_opener(ProxyHandler({})).open(store.endpoint_url + STATUS_PATH, timeout=10) as answer:
        words = answer.read().decode().split()
    return int(words[words.index("Writing:") + 1]) - 1


def as_store(url: str, pid: int, *, name: str = "nginx", ca_file: Path | None = None) -> S3Server:
    """Return a plain HTTP server as an S3 server with keys that nobody checks."""
    return S3Server(
        name, url, "unchecked", "unchecked", "us-east-1", verifies_signatures=False, pid=pid, ca_file=ca_file
    )


def faulty_store(origin: FaultyOrigin) -> S3Server:
    """Return a running `FaultyOrigin` as an S3 server; what it holds is for its owner to say."""
    return as_store(origin.url, os.getpid(), name=FAULTY)


def direct_url(store: S3Server) -> str:
    """Return a URL at which anybody may download the image of task 1 from the store itself for an hour.

    It is a presigned one if the store verifies signatures.
    """
    if not store.verifies_signatures:
        return f"{store.endpoint_url}/{BUCKET}/{KEY}"
    parameters = {"Bucket": BUCKET, "Key": KEY}
    return str(store.client().generate_presigned_url("get_object", Params=parameters, ExpiresIn=3600))


def _over_tls(server: NginxServer) -> S3Server:
    assert server.tls_url is not None
    return as_store(server.tls_url, server.pid, name="nginx, TLS", ca_file=server.ca_file)


def _object_file(folder: Path) -> Path:
    path = folder / BUCKET / KEY
    path.parent.mkdir(parents=True)
    return path
