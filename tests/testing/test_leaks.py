"""`assert_no_leak` names what a block leaves behind, and is quiet about what goes away in time."""

# ruff: noqa: PT012 - the block is what is tested

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import aiohttp
import pytest

from sluicegate import OpenRequest
from sluicegate.errors import BrokenBody
from sluicegate.sources.base import Body, Found
from sluicegate.sources.http import HttpSource
from sluicegate.testing import FaultyOrigin, Reset, SlowClient, Stall, assert_no_leak

linux = pytest.mark.skipif(sys.platform != "linux", reason="file descriptors are counted on Linux")


@pytest.fixture
def origin() -> Iterator[FaultyOrigin]:
    with FaultyOrigin() as running:
        running.put("/a", bytes(100_000))
        yield running


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def test_leaked_task_is_named_with_its_place() -> None:
    task = None
    with pytest.raises(AssertionError, match=r"task left-over: wait_for_ever at .*test_leaks\.py:\d+"):
        async with assert_no_leak(within=0.0):
            task = asyncio.create_task(wait_for_ever(), name="left-over")
            await asyncio.sleep(0)
    assert task is not None
    task.cancel()


def test_leaked_thread_is_named() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="left-over")
    with pytest.raises(AssertionError, match="thread left-over"), assert_no_leak(within=0.0):
        thread.start()
    stop.set()
    thread.join()


@linux
def test_leaked_file_is_named(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "left-over")
    opened = -1
    with pytest.raises(AssertionError, match=rf"file descriptor \d+: {path}"), assert_no_leak(within=0.0):
        opened = os.open(path, os.O_CREAT | os.O_RDWR)
    os.close(opened)


@linux
def test_leaked_socket_is_named() -> None:
    opened = None
    with pytest.raises(AssertionError, match=r"file descriptor \d+: socket:"), assert_no_leak(within=0.0):
        opened = socket.socket()
    assert opened is not None
    opened.close()


async def test_leaked_connection_is_named(origin: FaultyOrigin) -> None:
    client = SlowClient(origin.url)
    with pytest.raises(AssertionError, match=r"connection 1 of the origin, .*: GET /a, 100000 bytes sent"):
        async with assert_no_leak(origin, within=0.0):
            await client.connect()
            await client.send("GET", "/a", keep_alive=True)
            await client.drain()
    client.close()


async def test_what_goes_in_time_is_no_leak(origin: FaultyOrigin) -> None:
    origin.fail("/a", Stall(after=10))
    async with assert_no_leak(origin):
        task = asyncio.create_task(asyncio.sleep(0.02))
        thread = threading.Timer(0.02, lambda: None)
        thread.start()
        client = await SlowClient(origin.url).connect()
        await client.send("GET", "/a")
        await client.read(10)
        client.leave("reset")
    assert task.done()


async def test_pause_of_the_process_is_no_time_in_which_something_could_end() -> None:
    async def hold_up() -> None:
        time.sleep(0.1)
        for _ in range(3):
            await asyncio.sleep(0)

    async with assert_no_leak(within=0.05):
        task = asyncio.create_task(hold_up())
    assert task.done()


async def test_what_was_there_before_is_no_leak(origin: FaultyOrigin) -> None:
    async with SlowClient(origin.url) as client:
        await client.send("GET", "/a", keep_alive=True)
        await client.drain()
        async with assert_no_leak(origin):
            await client.send("GET", "/a", keep_alive=True)
            await client.drain()


async def test_client_library_that_closes_leaks_nothing(origin: FaultyOrigin) -> None:
    async with (
        assert_no_leak(origin),
        aiohttp.ClientSession() as session,
        session.get(f"{origin.url}/a") as got,
    ):
        await got.read()


async def test_source_whose_bodies_are_closed_leaks_nothing(origin: FaultyOrigin) -> None:
    origin.fail("/a", Reset(after=50_000))
    async with assert_no_leak(origin), HttpSource(origin.url) as source:
        found = await source.open("a", OpenRequest())
        assert isinstance(found, Found)
        with pytest.raises(BrokenBody):
            await _read(found.body)
        await found.body.aclose()


async def _read(body: Body) -> None:
    while await body.read():
        pass


async def test_error_in_the_block_comes_first() -> None:
    task = None
    with pytest.raises(LookupError):
        async with assert_no_leak(within=0.0):
            task = asyncio.create_task(wait_for_ever())
            raise LookupError
    assert task is not None
    task.cancel()


async def test_synchronous_form_is_refused_in_a_coroutine() -> None:
    with pytest.raises(RuntimeError, match="async with"), assert_no_leak():
        pass
