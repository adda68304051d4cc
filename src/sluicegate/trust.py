"""Whom stores' and services' clients trust: files of CA certificates, read before anybody asks."""

from __future__ import annotations

import ssl

from sluicegate.errors import SluicegateError


def client_context(tls_verify: bool | str, mistake: type[SluicegateError]) -> ssl.SSLContext | bool:
    """`tls_verify` as aiohttp wants it: a context that trusts the authorities in the file, if it names one.

    Reads the file. Raises `mistake` where there is none, or none of certificates (PEM).
    """
    if isinstance(tls_verify, bool):
        return tls_verify
    try:
        return ssl.create_default_context(cafile=tls_verify)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise mistake(f"tls_verify: no CA certificates in {tls_verify!r}: {reason}") from exc
