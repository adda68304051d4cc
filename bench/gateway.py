"""The gateway as a user runs it: `sluicegate serve CONFIG --port P`, with one route to an object."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.servers.asgi import ServedApp
from tests.servers.process import answers, free_port, running, temporary_folder
from tests.servers.s3 import S3Server

from .origins import BUCKET, PATH, direct_url

Client = Literal["obstore", "aiobotocore", "botocore"]
CLIENTS: tuple[Client, ...] = ("obstore", "aiobotocore", "botocore")

_OBJECT_ROUTE = """
[[routes]]
path = "/tasks/{task_id:int}/image"
object = "images:test/{task_id}/image.jpg"
media_type = "image/jpeg"
"""


@contextmanager
def gateway(store: S3Server, client: Client, *, workers: int = 1) -> Iterator[ServedApp]:
    """Run a gateway in front of `store`, which it reads through `client`."""
    with configured_gateway(_configuration(store, client), workers=workers) as served:
        yield served


@contextmanager
def relaying_gateway(store: S3Server) -> Iterator[ServedApp]:
    """Run one gateway process to which `store` is plain HTTP: it relays the image of task 1."""
    lines = [f"path = {json.dumps(PATH)}", f"upstream = {json.dumps(direct_url(store))}"]
    if store.ca_file is not None:
        lines.append(f"tls_verify = {json.dumps(str(store.ca_file))}")
    with configured_gateway("\n".join(["[[routes]]", *lines])) as served:
        yield served


@contextmanager
def configured_gateway(configuration: str, *, workers: int = 1) -> Iterator[ServedApp]:
    """Run a gateway with a configuration (TOML), by so many processes."""
    port = free_port()
    program = Path(sys.executable).with_name("sluicegate")
    with temporary_folder() as folder:
        path = folder / "sluicegate.toml"
        path.write_text(configuration)
        command = [str(program), "serve", str(path), "--port", str(port), "--workers", str(workers)]
        with running(command, ready=answers(port)) as server:
            yield ServedApp(f"http://127.0.0.1:{port}", server.pid)


def _configuration(store: S3Server, client: Client) -> str:
    settings = {
        "url": f"s3://{BUCKET}",
        "endpoint_url": store.endpoint_url,
        "region": store.region,
        "access_key_id": store.access_key,
        "secret_access_key": store.secret_key,
        "client": client,
        **({} if store.ca_file is None else {"tls_verify": str(store.ca_file)}),
    }
    # A JSON string is a TOML string.
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(["[stores.images]", *lines, _OBJECT_ROUTE])
