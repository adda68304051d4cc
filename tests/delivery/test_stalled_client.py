"""A client that takes nothing costs a bounded number of bytes, however long the body is."""

import asyncio
import uuid

import pytest

from .conftest import Server
from .raw_client import Connection, until

SMALL_BUFFER = 4096
MOST_AHEAD = 8 * 1024 * 1024
"""Buffers of the kernel at both ends (megabytes on loopback), of the server, and the window of a thread."""

GLANCE_SECONDS = 0.2


@pytest.mark.parametrize("name", ["endless", "endless-thread"])
async def test_stalled_client_stops_the_reading(server: Server, name: str) -> None:
    ident = uuid.uuid4().hex
    connection = await Connection.open(server.url, receive_buffer=SMALL_BUFFER)
    await connection.send("GET", f"/script/{name}?id={ident}")
    await connection.read_head()
    before = -1

    async def still() -> bool:
        nonlocal before
        await asyncio.sleep(GLANCE_SECONDS)
        last, before = before, (await server.stats(ident))["pulled"]
        assert before <= MOST_AHEAD
        return last == before

    await until(still, 10)
    pulled = before
    # And goes on when the client does: 2 MiB more than anybody held.
    await connection.read_some(pulled + 2 * 1024 * 1024)

    async def went_on() -> bool:
        return bool((await server.stats(ident))["pulled"] > pulled)

    await until(went_on)
    connection.leave("reset")
    await server.released(ident)
