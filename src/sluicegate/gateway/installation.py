"""All that a configuration decides in a process that serves: replaced as a whole, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import uvicorn

from sluicegate.errors import SluicegateError

from .config import Config, TlsConfig
from .config.values import LogStyle
from .live import LiveGateway
from .log import configure_log
from .metrics import Metrics
from .protocol import ConnectionCount, Listener, ProtocolLimits, bounded
from .tls import Certificate, TlsContext, load_certificate


class CannotChange(SluicegateError):
    """A setting that cannot change while the gateway runs has changed; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the server itself takes from a configuration; `drain_timeout` is in seconds."""

    drain_timeout: float
    log: LogStyle = "auto"
    limits: ProtocolLimits = field(default_factory=ProtocolLimits)
    tls: TlsConfig | None = None


def server_settings(config: Config) -> ServerSettings:
    """The server's part of a configuration."""
    limits = config.limits
    return ServerSettings(
        drain_timeout=config.gateway.drain_timeout,
        log=config.gateway.log,
        limits=ProtocolLimits(
            max_head=limits.max_head,
            max_url=limits.max_url,
            max_fields=limits.max_fields,
            head_timeout=limits.head_timeout,
            max_connections=limits.max_connections,
        ),
        tls=config.tls,
    )


def settings(
    app: Any,
    drain_timeout: float,
    protocol: type[Any] | None = None,
    tls: TlsContext | None = None,
) -> uvicorn.Config:
    """uvicorn's settings for an application; by default HTTP/1.1 in the usual limits, without TLS."""
    return uvicorn.Config(
        app,
        loop="auto",
        http=protocol or bounded(ProtocolLimits(), ConnectionCount()),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # It is a number of seconds for `asyncio.wait_for`, which takes fractions.
        timeout_graceful_shutdown=drain_timeout,  # type: ignore[arg-type]
        ssl_context_factory=None if tls is None else lambda config, default: tls.context,
    )


class Installation:
    """A gateway with uvicorn's settings and the certificate for it; raises `BadCertificate`.

    `metrics` counts what comes of reloads, and `listener` is told of connections.
    """

    def __init__(
        self,
        gateway: LiveGateway,
        wanted: ServerSettings,
        metrics: Metrics | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.gateway = gateway
        self._metrics = metrics
        self.count = ConnectionCount(listener)
        self.tls = TlsContext(wanted.tls) if wanted.tls else None
        self.uvicorn = settings(gateway, wanted.drain_timeout, bounded(wanted.limits, self.count), self.tls)
        self._next: tuple[ServerSettings, Certificate | None] | None = None

    async def prepare(self, config: Config) -> None:
        """Open what a configuration needs; raises what cannot be used, and then changes nothing."""
        await self.prepare_with(config, server_settings(config))

    async def prepare_with(self, config: Config, wanted: ServerSettings) -> None:
        """As `prepare`, with other settings for the server than those of the configuration."""
        certificate = self._certificate(wanted.tls)
        await self.gateway.prepare(config)
        self._next = (wanted, certificate)

    def _certificate(self, wanted: TlsConfig | None) -> Certificate | None:
        if (wanted is None) != (self.tls is None):
            raise CannotChange("[tls] cannot be added or taken away while the gateway runs: restart it")
        return None if wanted is None else load_certificate(wanted)

    def commit(self) -> None:
        """Serve new requests and new connections by what was prepared."""
        self.gateway.commit()
        if self._next is None:
            return
        (wanted, certificate), self._next = self._next, None
        self.uvicorn.timeout_graceful_shutdown = wanted.drain_timeout  # type: ignore[assignment]
        # uvicorn asks for it at each connection.
        self.uvicorn.http_protocol_class = bounded(wanted.limits, self.count)
        if self.tls is not None and certificate is not None:
            self.tls.use(certificate)
        configure_log(wanted.log)
        if self._metrics is not None:
            self._metrics.loaded()

    def count_reload(self, *, ok: bool) -> None:
        """Count a configuration that was read again, and put in place or not."""
        if self._metrics is not None:
            self._metrics.reloaded("applied" if ok else "invalid")

    def abandon(self) -> None:
        """Give up what was prepared."""
        self._next = None
        self.gateway.abandon()
