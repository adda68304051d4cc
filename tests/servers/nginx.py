"""nginx serving a folder: an ideal store, which costs next to nothing and knows Range, ETag and If-*."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .process import executable, free_port, listens, running, temporary_folder

# nginx started as root changes to "nobody" without a "user": then it could not read the folder.
_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {own}/pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    types {{
        image/jpeg jpg jpeg;
        image/png png;
        video/mp4 mp4;
        text/plain txt;
        application/json json;
    }}
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port};
        {tls}
        root "{folder}";
        autoindex {listing};
        location = {status} {{ stub_status; }}
    }}
}}
"""

STATUS_PATH = "/nginx-status"
"""Where nginx tells how many answers it is sending."""

_TLS = """
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {own}/certificate.pem;
        ssl_certificate_key {own}/certificate.pem;
"""


@dataclass(frozen=True, slots=True)
class NginxServer:
    """A running nginx; `tls_url` and `ca_file` (the authority to trust) are set if TLS was asked for."""

    url: str
    tls_url: str | None
    ca_file: Path | None
    pid: int


@contextmanager
def nginx(folder: Path, *, tls: bool = False, listing: bool = False) -> Iterator[NginxServer]:
    """Serve `folder` over plain HTTP, and with `tls` over HTTPS at a second port too.

    With `listing` it answers the address of a folder with a page of links to what is in it.

    Raises `ServerMissing` where nginx is not installed.
    """
    program = executable("nginx", "apt-get install nginx-core")
    port, tls_port = free_port(), free_port()
    with temporary_folder() as own:
        if tls:
            _make_certificate(own)
        configuration = own / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                own=own,
                port=port,
                folder=folder.resolve(),
                listing="on" if listing else "off",
                status=STATUS_PATH,
                tls=_TLS.format(port=tls_port, own=own) if tls else "",
            )
        )
        command = [program, "-e", "stderr", "-p", str(own), "-c", str(configuration)]
        with running(command, ready=listens(port)) as server:
            yield NginxServer(
                url=f"http://127.0.0.1:{port}",
                tls_url=f"https://127.0.0.1:{tls_port}" if tls else None,
                ca_file=own / "ca.pem" if tls else None,
                pid=server.pid,
            )


def _make_certificate(own: Path) -> None:
    import trustme  # noqa: PLC0415 (only needed with TLS)

    authority = trustme.CA()
    authority.cert_pem.write_to_path(own / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(own / "certificate.pem")
