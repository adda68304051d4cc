"""Peers that are no Python: nginx in front of the store, as people tune it for downloads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.asgi import ServedApp
from tests.servers.process import executable, free_port, listens, running, temporary_folder
from tests.servers.s3 import S3Server

from .stores import BUCKET, KEY, PATH

_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {own}/pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    upstream store {{ server {store}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location = {path} {{
            proxy_pass http://store/{bucket}/{key};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffer_size 128k;
            proxy_buffers 16 128k;
            proxy_busy_buffers_size 256k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""


@contextmanager
def tuned_nginx(store: S3Server) -> Iterator[ServedApp]:
    """Run an nginx that relays the image of task 1: buffers of 128 KiB, connections kept, no temporary files.

    Raises `ServerMissing` where nginx is not installed.
    """
    program = executable("nginx", "apt-get install nginx-core")
    port = free_port()
    with temporary_folder() as own:
        configuration = own / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                own=own,
                port=port,
                store=store.endpoint_url.removeprefix("http://"),
                path=PATH,
                bucket=BUCKET,
                key=KEY,
            )
        )
        command = [program, "-e", "stderr", "-p", str(own), "-c", str(configuration)]
        with running(command, ready=listens(port)) as server:
            yield ServedApp(f"http://127.0.0.1:{port}", server.pid)
