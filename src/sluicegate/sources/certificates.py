"""Files of CA certificates, checked when a source is entered: not when the first client asks."""

from __future__ import annotations

import ssl

from sluicegate.sources.options import BadOptions


def tls_context(tls_verify: bool | str) -> ssl.SSLContext | bool:
    """`tls_verify` as a context that trusts the authorities in the file, if it names one. Reads the file.

    Raises `BadOptions` where there is no file, or none of certificates (PEM).
    """
    if isinstance(tls_verify, bool):
        return tls_verify
    try:
        return ssl.create_default_context(cafile=tls_verify)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise BadOptions(f"tls_verify: cannot read CA certificates from {tls_verify!r}: {reason}") from exc
