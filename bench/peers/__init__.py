"""What people would put in front of an origin instead of the gateway, each started on loopback.

Every one is a context manager that takes the origin and yields a `Peer`. It raises `ServerMissing`, with the
command that installs it, where its program is missing.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial

from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from ..measure import Contestant
from . import caddy as _caddy
from . import nginx as _nginx
from . import rclone as _rclone
from .applications import application, own_gateway, own_relay
from .base import Peer, origin_itself, version

Start = Callable[[S3Server], AbstractContextManager[Peer]]

GATEWAY: Mapping[str, Start] = {"gateway": own_gateway}
TWO_WORKERS: Mapping[str, Start] = {
    "gateway, 2 workers": partial(own_gateway, workers=2),
    "nginx, default, 2 workers": partial(_nginx.default_nginx, workers=2),
    "nginx, tuned, 2 workers": partial(_nginx.tuned_nginx, workers=2),
}
GATEWAY_CLIENTS: Mapping[str, Start] = {
    "gateway, aiobotocore": partial(own_gateway, client="aiobotocore"),
    "gateway, botocore": partial(own_gateway, client="botocore"),
    "gateway, upstream": own_relay,
}
"""The gateway reads through obstore, unless it says otherwise."""

DEFAULT_NGINX: Mapping[str, Start] = {"nginx, default": _nginx.default_nginx}
TUNED_NGINX: Mapping[str, Start] = {"nginx, tuned": _nginx.tuned_nginx}
CACHES: Mapping[str, Start] = {
    "nginx, proxy_cache": _nginx.caching_nginx,
    "nginx, slice": _nginx.slicing_nginx,
}
"""Those that keep on the disk what they have served."""

CADDY: Mapping[str, Start] = {"Caddy": _caddy.caddy}
RCLONE: Mapping[str, Start] = {"rclone": _rclone.rclone}
RCLONE_STREAMS: Mapping[str, Start] = {"rclone, 16 streams": partial(_rclone.rclone, options=_rclone.STREAMS)}
FASTAPI_AIOBOTOCORE: Mapping[str, Start] = {
    "FastAPI, aiobotocore": partial(application, module="bench.peers.shared_client_app")
}
FASTAPI_OBSTORE: Mapping[str, Start] = {
    "FastAPI, obstore": partial(application, module="bench.peers.obstore_app")
}
NAIVE: Mapping[str, Start] = {
    "naive aiobotocore": partial(application, module="bench.naive.aiobotocore_app"),
    "naive botocore": partial(application, module="bench.naive.botocore_app"),
}
"""Their chunks are of 1 KiB, and each request makes a client: large objects take minutes."""

PROXIES: Mapping[str, Start] = {**DEFAULT_NGINX, **TUNED_NGINX, **CADDY, **RCLONE}
FASTAPI: Mapping[str, Start] = {**FASTAPI_AIOBOTOCORE, **FASTAPI_OBSTORE}
ORIGIN: Mapping[str, Start] = {"origin itself": origin_itself}


def contestants(stack: ExitStack, store: S3Server, starts: Mapping[str, Start]) -> list[Contestant]:
    """Start everybody in front of `store`, until `stack` ends; who is missing is left out, with a line."""
    found = []
    for name, start in starts.items():
        try:
            peer = stack.enter_context(start(store))
        except ServerMissing as missing:
            print(f"{name}: left out, {missing}", flush=True)
        else:
            ca_file = store.ca_file if peer.url.startswith("https:") else None
            found.append(Contestant(name, peer.url, peer.pid, ca_file=ca_file))
    return found


def versions() -> dict[str, str]:
    """Return what the programs say of their versions, for the settings of a result."""
    return {
        "nginx": version(["nginx", "-v"], _nginx.INSTALL),
        "caddy": version(["caddy", "version"], _caddy.INSTALL),
        "rclone": version(["rclone", "version"], _rclone.INSTALL),
    }
