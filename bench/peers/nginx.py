"""nginx as a proxy in front of an origin: as it comes, tuned for downloads, with a cache, and in slices.

A store that verifies signatures is read at a presigned URL, which nginx relays for whoever asks.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.process import executable, free_port, listens, running, temporary_folder
from tests.servers.s3 import S3Server

from ..origins import PATH, direct_url
from .base import Peer

INSTALL = "apt-get install nginx-core"

_CONFIGURATION = """
daemon off;
{user}
worker_processes {workers};
pid {own}/pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port};
        location = {path} {{
            {location}
        }}
    }}
}}
"""

_TLS = """
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {ca_file};
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
"""
"""A name, because nginx compares no addresses with what a certificate says."""

_TUNED_HTTP = """
    keepalive_requests 1000000;
    upstream store {{ server {host}; keepalive 64; keepalive_requests 1000000; }}
"""

_TUNED = """
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host {host};
            proxy_buffer_size 128k;
            proxy_buffers 16 128k;
            proxy_busy_buffers_size 256k;
            proxy_max_temp_file_size 0;
"""

_CACHE_HTTP = """
    proxy_cache_path {own}/cache keys_zone=store:10m max_size=4g use_temp_path=off;
"""

_CACHE = """
            proxy_cache store;
            proxy_cache_valid 200 206 1h;
"""

_SLICE = """
            slice 8m;
            proxy_cache_key $uri$is_args$args$slice_range;
            proxy_set_header Range $slice_range;
"""


@contextmanager
def default_nginx(store: S3Server, *, workers: int = 1) -> Iterator[Peer]:
    """Run an nginx that is told where the origin is, and nothing else."""
    with _nginx(store, workers, "", f"proxy_pass {direct_url(store)};") as peer:
        yield peer


@contextmanager
def tuned_nginx(store: S3Server, *, workers: int = 1) -> Iterator[Peer]:
    """Run an nginx tuned for downloads: buffers of 128 KiB, connections kept, no temporary files."""
    with _tuned(store, workers) as peer:
        yield peer


@contextmanager
def caching_nginx(store: S3Server, *, workers: int = 1) -> Iterator[Peer]:
    """Run a tuned nginx that keeps on the disk what it has served whole."""
    with _tuned(store, workers, _CACHE_HTTP, _CACHE) as peer:
        yield peer


@contextmanager
def slicing_nginx(store: S3Server, *, workers: int = 1) -> Iterator[Peer]:
    """Run a tuned nginx that reads the origin in slices of 8 MiB, one after the other, and keeps them."""
    with _tuned(store, workers, _CACHE_HTTP, _CACHE + _SLICE) as peer:
        yield peer


@contextmanager
def _tuned(store: S3Server, workers: int, http: str = "", location: str = "") -> Iterator[Peer]:
    host = urlsplit(store.endpoint_url).netloc
    through = direct_url(store).replace(f"://{host}", "://store", 1)
    lines = _TUNED.format(host=host) + location + f"proxy_pass {through};"
    with _nginx(store, workers, _TUNED_HTTP.format(host=host) + http, lines) as peer:
        yield peer


@contextmanager
def _nginx(store: S3Server, workers: int, http: str, location: str) -> Iterator[Peer]:
    program = executable("nginx", INSTALL)
    port = free_port()
    tls = "" if store.ca_file is None else _TLS.format(ca_file=store.ca_file)
    with temporary_folder() as own:
        configuration = own / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                workers=workers,
                own=own,
                port=port,
                path=PATH,
                http=_with_folder(http, own),
                location=tls + location,
            )
        )
        command = [program, "-e", "stderr", "-p", str(own), "-c", str(configuration)]
        with running(command, ready=listens(port)) as server:
            yield Peer(f"http://127.0.0.1:{port}{PATH}", server.pid)


def _with_folder(http: str, own: Path) -> str:
    return http.replace("{own}", str(own))
