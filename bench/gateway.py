"""The gateway as a user runs it: `sluicegate serve CONFIG --port P`, one route to an S3 object."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.servers.asgi import ServedApp
from tests.servers.process import answers, free_port, running, temporary_folder
from tests.servers.s3 import S3Server

Client = Literal["obstore", "aiobotocore", "botocore"]
CLIENTS: tuple[Client, ...] = ("obstore", "aiobotocore", "botocore")

_ROUTE = """
[[routes]]
path = "/tasks/{task_id:int}/image"
object = "images:test/{task_id}/image.jpg"
media_type = "image/jpeg"
"""


@contextmanager
def gateway(store: S3Server, client: Client) -> Iterator[ServedApp]:
    """Run one gateway process in front of `store`, which it reads through `client`."""
    port = free_port()
    with temporary_folder() as folder:
        configuration = folder / "sluicegate.toml"
        configuration.write_text(_configuration(store, client))
        command = _command(configuration, port)
        with running(command, ready=answers(port)) as server:
            yield ServedApp(f"http://127.0.0.1:{port}", server.pid)


def _command(configuration: Path, port: int) -> list[str]:
    program = Path(sys.executable).with_name("sluicegate")
    return [str(program), "serve", str(configuration), "--port", str(port)]


def _configuration(store: S3Server, client: Client) -> str:
    settings = {
        "url": "s3://images",
        "endpoint_url": store.endpoint_url,
        "region": store.region,
        "access_key_id": store.access_key,
        "secret_access_key": store.secret_key,
        "client": client,
    }
    # A JSON string is a TOML string.
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(["[stores.images]", *lines, _ROUTE])
