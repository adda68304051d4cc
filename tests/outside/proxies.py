"""nginx and HAProxy in front of a gateway, as docs/operating.md has it: nothing is buffered."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.servers.process import executable, free_port, listens, running, temporary_folder

# nginx started as root changes to "nobody" without a "user": then it could not write to its folder.
_NGINX = """
daemon off;
{user}
worker_processes 1;
pid {own}/pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    upstream gateway {{
        server 127.0.0.1:{gateway};
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_buffering off;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""

# It adds whom it has heard from to what the client says, where nginx above replaces that.
_HAPROXY = """
defaults
    mode http
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 30s
    timeout server 30s

frontend clients
    bind 127.0.0.1:{port}
    default_backend gateway

backend gateway
    server gateway 127.0.0.1:{gateway}
"""

Proxy = Callable[[int], AbstractContextManager[str]]


@contextmanager
def nginx(gateway: int) -> Iterator[str]:
    """Run nginx in front of the gateway at this port, and yield its URL; raises `ServerMissing`."""
    program, port = executable("nginx", "apt-get install nginx-core"), free_port()
    with temporary_folder() as own:
        file = own / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(_NGINX.format(user=user, own=own, port=port, gateway=gateway))
        with running([program, "-e", "stderr", "-p", str(own), "-c", str(file)], ready=listens(port)):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def haproxy(gateway: int) -> Iterator[str]:
    """Run HAProxy in front of the gateway at this port, and yield its URL; raises `ServerMissing`."""
    program, port = executable("haproxy", "apt-get install haproxy"), free_port()
    with temporary_folder() as own:
        file = own / "haproxy.cfg"
        file.write_text(_HAPROXY.format(port=port, gateway=gateway))
        with running([program, "-db", "-f", str(file)], ready=listens(port)):
            yield f"http://127.0.0.1:{port}"


PROXIES: dict[str, Proxy] = {"nginx": nginx, "haproxy": haproxy}
