"""The admin address, served beside the gateway in its event loop, until the last transfer has ended."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn

from .admin import AdminApp, AdminTools
from .installation import settings
from .link_desk import revoke_link, signed_link, text_in
from .live import LiveGateway
from .metrics import Metrics
from .reloading import Control, ReloadResult
from .shown_config import hidden

logger = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 1.0
"""How long answers of the admin address may take when the gateway has ended."""


class Administration:
    """What is served at the admin address of a process. `control` reads its configuration again."""

    def __init__(self, gateway: LiveGateway, metrics: Metrics, control: Control | None) -> None:
        self._gateway = gateway
        tools = AdminTools(
            exposition=metrics.exposition,
            report=gateway.report,
            config=lambda: hidden(gateway.config),
            reload=_no_file if control is None else control.reload,
            sign=lambda asked: signed_link(gateway.config, asked),
            revoke=self._revoke,
            file=None if control is None else control.file,
        )
        self._app = AdminApp(tools, hosts=[name.lower() for name in gateway.config.admin.allowed_hosts])

    @asynccontextmanager
    async def served(self, bound: socket.socket) -> AsyncIterator[None]:
        """Serve it on a socket until the block ends."""
        server = _QuietServer(settings(self._app, DRAIN_SECONDS))
        serving = asyncio.create_task(server.serve([bound]))
        try:
            yield
        finally:
            server.should_exit = True
            await asyncio.wait((serving,))

    def _revoke(self, asked: Mapping[str, object]) -> Mapping[str, object]:
        link_id = text_in(asked, "id") or ""
        file = revoke_link(self._gateway.config, link_id, text_in(asked, "auth"))
        return {"revoked": link_id, "file": file}


class _QuietServer(uvicorn.Server):
    """uvicorn, which leaves the signals to the server that it runs beside."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _no_file() -> ReloadResult:
    return ReloadResult(False, "this gateway was not started with a file that could be read again")
