"""The client goes away: whatever the transfer is doing, the origin is let go at once."""

import asyncio
import uuid
from typing import Any

import pytest

from .conftest import Server
from .origin import GLANCE_SECONDS, Origin
from .raw_client import Connection, Leaving, until

# How far a transfer is when the client leaves: what the origin does, and whether there is a head to read.
STATES = {
    "before the head": ("stall-head", False),
    "before the first chunk": ("stall-first", False),
    "inside a read": ("stall-later", True),
    "inside a send": ("endless", True),
}
LEAVINGS: tuple[Leaving, ...] = ("close", "reset", "half_close")
SMALL_BUFFER = 4096

OBJECT_SOURCES = ("origin-obstore", "origin-aiobotocore", "origin-botocore", "origin-http")
CLIENTS = ("aiobotocore", "botocore", "obstore", "aiohttp", "httpx", "httpx-sync", "urllib")


def _is_noticed(server: Server, state: str, how: Leaving) -> bool:
    # A client that has said its last word may still read, and one that does not read is stalled, not gone:
    # uvicorn takes the first for leaving when it has nothing left to write, and cannot tell the second.
    return not (state == "inside a send" and how == "half_close" and server.kind != "granian")


async def _leave(server: Server, path: str, *, head: bool, how: Leaving, ready: Any) -> Connection:
    """Ask, wait until the transfer is as far as it gets, and go away."""
    connection = await Connection.open(server.url, receive_buffer=SMALL_BUFFER)
    await connection.send("GET", path)
    if head:
        await connection.read_head()
        await connection.read_some(1)
    await until(ready)
    connection.leave(how)
    return connection


async def _check_release(server: Server, origin: Origin, place: str, state: str, how: Leaving) -> None:
    behaviour, head = STATES[state]
    name = uuid.uuid4().hex
    far_enough = origin.is_stalled if state == "inside a send" else origin.is_asked
    path = f"/{place}/{behaviour}/{name}"
    connection = await _leave(server, path, head=head, how=how, ready=lambda: far_enough(name))
    try:
        await until(lambda: origin.is_released(name))
    except AssertionError as exc:
        raise AssertionError(f"{state}, {how}: {exc}") from exc
    finally:
        connection.close()


@pytest.mark.parametrize("source", OBJECT_SOURCES)
async def test_connection_of_an_object_is_released(server: Server, origin: Origin, source: str) -> None:
    cases = [(state, how) for state in STATES for how in LEAVINGS if _is_noticed(server, state, how)]
    await asyncio.gather(*(_check_release(server, origin, f"starlette/{source}", *case) for case in cases))


@pytest.mark.parametrize("client", CLIENTS)
async def test_connection_of_a_client_library_is_released(
    server: Server, origin: Origin, client: str
) -> None:
    cases = [
        (state, how)
        for state in STATES
        for how in LEAVINGS
        # Before the head there is no response that could own anything.
        if _is_noticed(server, state, how) and state != "before the head"
    ]
    place = f"library/{client}/origin"
    await asyncio.gather(*(_check_release(server, origin, place, *case) for case in cases))


SCRIPTS = {
    "before the first chunk": ("/script/stall-first", False),
    "inside a read": ("/script/stall-later", True),
    "inside a send": ("/script/endless", True),
    "inside a send, of a thread": ("/script/endless-thread", True),
    "before the first chunk of an object": ("/scripted/stall-first", False),
    "inside a read of an object": ("/scripted/stall-later", True),
}


@pytest.mark.parametrize("wrapper", ["", "/wrapped"], ids=["bare", "BaseHTTPMiddleware"])
@pytest.mark.parametrize("state", SCRIPTS)
async def test_iterator_is_closed_once_and_the_background_runs(
    server: Server, state: str, wrapper: str
) -> None:
    async def one(how: Leaving) -> None:
        path, head = SCRIPTS[state]
        name = uuid.uuid4().hex
        before = -1

        async def far_enough() -> bool:
            nonlocal before
            await asyncio.sleep(GLANCE_SECONDS)
            last, before = before, (await server.stats(name))["reads"]
            return last == before > 0

        connection = await _leave(server, f"{wrapper}{path}?id={name}", head=head, how=how, ready=far_enough)

        async def done() -> bool:
            stats = await server.stats(name)
            return bool(stats["closed"] and stats["background"])

        await until(done)
        connection.close()
        stats = await server.stats(name)
        assert (stats["closed"], stats["background"]) == (1, 1)

    await asyncio.gather(*(one(how) for how in LEAVINGS if _is_noticed(server, state[:13], how)))


async def test_client_that_leaves_before_the_source_has_answered(server: Server) -> None:
    name = uuid.uuid4().hex
    connection = await Connection.open(server.url)
    await connection.send("GET", f"/scripted/stall-open?id={name}")

    async def asked() -> bool:
        return bool((await server.stats(name))["opened"])

    await until(asked)
    connection.leave("reset")

    async def done() -> bool:
        return bool((await server.stats(name))["background"])

    await until(done)


async def test_threads_of_left_transfers_end(server: Server) -> None:
    names = [uuid.uuid4().hex for _ in range(20)]
    connections = [await Connection.open(server.url, receive_buffer=SMALL_BUFFER) for _ in names]
    for name, connection in zip(names, connections, strict=True):
        await connection.send("GET", f"/script/endless-thread?id={name}")
        await connection.read_head()
    for connection in connections:
        connection.leave("reset")

    async def ended() -> bool:
        return bool((await server.stats("none"))["threads"] == 0)

    await until(ended)
    closed = [(await server.stats(name))["closed"] for name in names]
    assert closed == [1] * len(names)


@pytest.mark.parametrize("client", ["aiobotocore", "botocore", "aiohttp", "httpx", "httpx-sync"])
async def test_pool_is_not_drained_by_clients_that_leave(server: Server, origin: Origin, client: str) -> None:
    """botocore's pool has ten connections by default: ten downloads left alone used to end a service."""

    async def one(name: str) -> None:
        connection = await Connection.open(server.url, receive_buffer=SMALL_BUFFER)
        await connection.send("GET", f"/library/{client}/origin/endless/{name}")
        await connection.read_head()
        connection.leave("reset")
        await until(lambda: origin.is_released(name))

    for _ in range(3):
        await asyncio.gather(*(one(uuid.uuid4().hex) for _ in range(10)))
