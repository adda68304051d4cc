"""The gateway and the Python applications as peers: all on uvicorn with uvloop and httptools."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.asgi import serve
from tests.servers.s3 import S3Server

from ..gateway import Client, gateway, relaying_gateway
from ..origins import PATH
from .base import Peer


@contextmanager
def own_gateway(store: S3Server, *, client: Client = "obstore", workers: int = 1) -> Iterator[Peer]:
    """Run the gateway, which reads the origin as S3 through `client`."""
    with gateway(store, client, workers=workers) as served:
        yield Peer(served.url + PATH, served.pid)


@contextmanager
def own_relay(store: S3Server) -> Iterator[Peer]:
    """Run the gateway with an `upstream` route: the origin is plain HTTP to it."""
    with relaying_gateway(store) as served:
        yield Peer(served.url + PATH, served.pid)


@contextmanager
def application(store: S3Server, *, module: str) -> Iterator[Peer]:
    """Run the application `app` of a module, which finds the origin in its environment."""
    # The naive ones have an endpoint that is not used here, and ask for its upstream too.
    env = {**store.environment(), "UPSTREAM_URL": store.endpoint_url}
    with serve(f"{module}:app", env=env) as served:
        yield Peer(served.url + PATH, served.pid)
