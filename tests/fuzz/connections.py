"""The target that sends bytes to the gateway's protocol, without a socket."""

import asyncio
from functools import cache
from typing import Any

from uvicorn.config import Config as ServerSettings
from uvicorn.server import ServerState

from sluicegate.gateway.installation import settings
from sluicegate.gateway.protocol import BoundedProtocol, ConnectionCount, ProtocolLimits, bounded

from .gateways import Checked, checked_gateway
from .waiting import LONGEST_SECONDS, loop, wait

SMALL = ProtocolLimits(max_head=2048, max_url=512, max_fields=16)


class _Client(asyncio.Transport):
    """The other end of a connection: what was sent to it, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.9", 50_000), "sockname": ("192.0.2.1", 80)})
        self.received = bytearray()
        self.closed = False
        self.ended = False

    def write(self, data: Any) -> None:
        # As asyncio has it: the one is passed over, the other raises.
        if not self.closed:
            assert not self.ended, "written to after its end"
            self.received += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is held here."""

    def pause_reading(self) -> None:
        """What comes meanwhile is on its way already."""

    def resume_reading(self) -> None:
        """It was never paused."""


@cache
def _served() -> tuple[Checked, ConnectionCount, type[BoundedProtocol], ServerSettings]:
    gateway, count = checked_gateway(), ConnectionCount()
    protocol = bounded(SMALL, count)
    config = settings(gateway, LONGEST_SECONDS, protocol)
    config.load()
    return gateway, count, protocol, config


def connection(data: bytes) -> None:
    """Whatever comes in, what goes out is HTTP; nothing is left behind, and no bound is crossed.

    The first byte says into how many pieces the rest is cut.
    """
    gateway, _, _, _ = _served()
    wait(_connected(data[1:], 1 + (data[0] if data else 0) % 8))
    gateway.raise_wrong()


async def _connected(data: bytes, pieces: int) -> None:
    _, count, protocol, config = _served()
    state, client = ServerState(), _Client()
    served = protocol(config, state, {}, loop())
    served.connection_made(client)
    size = len(data) // pieces + 1
    for start in range(0, len(data), size):
        if client.closed:
            break
        served.data_received(data[start : start + size])
        assert len(served.headers or ()) <= SMALL.max_fields
        await asyncio.sleep(0)
    while state.tasks:
        await asyncio.wait(state.tasks)
    served.eof_received()
    served.connection_lost(None)
    assert client.received == b"" or client.received.startswith(b"HTTP/1."), bytes(client.received[:50])
    assert (count.open, state.connections) == (0, set())
