"""A client that takes less than it must is cut, under every server; one that takes enough is served whole."""

import asyncio
import json
import uuid

import pytest

from .conftest import Server
from .raw_client import Connection, until

SMALL_BUFFER = 4096
RATE = 50_000_000
"""More than a client takes that sleeps between two reads, and more in half a second than sockets hold."""


async def outcomes(server: Server, name: str) -> list[str]:
    answered: list[str] = json.loads((await server.fetch(f"/records/{name}")).content)
    return answered


@pytest.mark.parametrize("takes", [0, 8192], ids=["nothing", "little"])
async def test_client_that_takes_less_than_it_must_is_cut(server: Server, takes: int) -> None:
    name = uuid.uuid4().hex
    await server.logged()
    connection = await Connection.open(server.url, receive_buffer=SMALL_BUFFER)
    await connection.send("GET", f"/paced?id={name}&rate={RATE}&seconds=0.5")
    taken = 0

    async def is_cut() -> bool:
        nonlocal taken
        taken += takes
        if takes:
            await connection.read_some(taken)
        return bool(await outcomes(server, name))

    await until(is_cut, 10)
    assert await outcomes(server, name) == ["client_too_slow"]
    answer = await connection.read_to_end()
    assert (answer.status, answer.complete) == (200, False)
    assert (await server.stats(name))["closed"] == 1


async def test_client_that_takes_enough_is_served_whole(server: Server) -> None:
    name = uuid.uuid4().hex
    answer = await server.fetch(f"/paced?id={name}&rate=1000&seconds=10")
    assert (answer.status, answer.complete) == (200, True)
    assert await outcomes(server, name) == ["complete"]


async def test_client_that_stalls_is_not_cut_without_a_limit(server: Server) -> None:
    name = uuid.uuid4().hex
    connection = await Connection.open(server.url, receive_buffer=SMALL_BUFFER)
    await connection.send("GET", f"/paced?id={name}&rate=0&seconds=0.1")
    await asyncio.sleep(0.5)
    assert await outcomes(server, name) == []
    answer = await connection.read_to_end()
    assert (answer.status, answer.complete) == (200, True)
