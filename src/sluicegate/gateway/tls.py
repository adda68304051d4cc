"""TLS for the gateway's own address, with a certificate that can be replaced while connections go on."""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass
from typing import Final

from sluicegate.errors import SluicegateError

from .config import TlsConfig

logger = logging.getLogger(__name__)

ALPN: Final = ["http/1.1"]

_Stamp = tuple[tuple[int, int, int] | None, ...]
"""For each of the two files: its inode, when it changed, and its size; None if it is not there."""


class BadCertificate(SluicegateError):
    """A certificate and its key cannot be used; the message names the files and says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A pair that was loaded: the files, what they were like, and what is shown to clients."""

    config: TlsConfig
    stamp: _Stamp
    context: ssl.SSLContext


class TlsContext:
    """What a server does its handshakes with: `context` shows the newest certificate that fits its key.

    Raises `BadCertificate` if the first one does not fit. A later one that does not changes nothing.
    """

    def __init__(self, config: TlsConfig) -> None:
        self._current = load_certificate(config)
        self._tried = self._current.stamp
        self.context = _load(config)
        # Loaded again, a context has no key for a moment, and for good if the new pair is half written.
        # So each handshake asks for the newest context; OpenSSL asks also for clients that send no name.
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current.context

    def use(self, certificate: Certificate) -> None:
        """Show a certificate at all handshakes from now on."""
        self._current, self._tried = certificate, certificate.stamp

    def reload(self) -> None:
        """Load the same files again; raises `BadCertificate`, and then changes nothing."""
        self.use(load_certificate(self._current.config))

    def renew(self) -> None:
        """Load the files again if they have changed since they were last tried, and log what came of it."""
        if (found := _stamp(self._current.config)) == self._tried:
            return
        self._tried = found
        try:
            self.reload()
        except BadCertificate as exc:
            logger.error("%s; the certificate before stays", exc)  # noqa: TRY400
        else:
            logger.info("certificate %r was loaded again", self._current.config.certificate)


def load_certificate(config: TlsConfig) -> Certificate:
    """Load a pair; raises `BadCertificate`."""
    # Before the files are read: what changes meanwhile is another pair.
    stamp = _stamp(config)
    return Certificate(config, stamp, _load(config))


def _load(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    try:
        for path in (config.certificate, config.key):
            os.close(os.open(path, os.O_RDONLY))
        # Without a password OpenSSL would ask for it, at the terminal.
        context.load_cert_chain(config.certificate, config.key, password="")
    except ssl.SSLError as exc:
        found = (exc.reason or "not PEM").lower().replace("_", " ")
        raise BadCertificate(
            f"cannot use certificate {config.certificate!r} with key {config.key!r}: {found}; "
            "expected a PEM certificate chain and its private key without a password"
        ) from exc
    except OSError as exc:
        raise BadCertificate(f"cannot read {exc.filename!r}: {exc.strerror or exc}") from exc
    return context


def _stamp(config: TlsConfig) -> _Stamp:
    return tuple(_stamp_of(path) for path in (config.certificate, config.key))


def _stamp_of(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
