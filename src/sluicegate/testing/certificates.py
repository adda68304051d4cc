"""Certificates for the `FaultyOrigin`, good and bad ones, made by trustme."""

from __future__ import annotations

import ssl
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

Certificate = Literal["good", "untrusted", "wrong-host", "expired"]
"""`untrusted` is signed by another authority than the one to trust, `wrong-host` is for another name."""

CERTIFICATES: Final = ("good", "untrusted", "wrong-host", "expired")
_EXPIRED_DAYS: Final = 2


def server_tls(certificate: Certificate, stack: ExitStack) -> tuple[ssl.SSLContext, Path]:
    """A context to serve with, and the file of the authority to trust, which `stack` removes.

    Raises `ImportError` where trustme is not installed (`pip install "sluicegate[testing]"`).
    """
    import trustme  # noqa: PLC0415 - only those who test TLS need it

    if certificate not in CERTIFICATES:
        raise ValueError(f"a certificate is one of {', '.join(CERTIFICATES)}, got {certificate!r}")
    authority = trustme.CA()
    signer = trustme.CA() if certificate == "untrusted" else authority
    names = ("elsewhere.example",) if certificate == "wrong-host" else ("127.0.0.1", "localhost")
    today = datetime.now(UTC)
    end = today - timedelta(days=1) if certificate == "expired" else None
    begin = today - timedelta(days=_EXPIRED_DAYS) if certificate == "expired" else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert(*names, not_before=begin, not_after=end).configure_cert(context)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faulty-origin-")))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return context, folder / "ca.pem"
