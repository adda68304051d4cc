"""How services are trusted that are asked about clients."""

from __future__ import annotations

import ssl

from sluicegate.access.errors import BadCredentials


def client_context(tls_verify: bool | str) -> ssl.SSLContext | bool:
    """`tls_verify` as aiohttp wants it: a file of CA certificates (PEM) as a context. Reads the file.

    Raises `BadCredentials` where there is no such file.
    """
    if isinstance(tls_verify, bool):
        return tls_verify
    try:
        return ssl.create_default_context(cafile=tls_verify)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise BadCredentials(f"tls_verify: no CA certificates in {tls_verify!r}: {reason}") from exc
