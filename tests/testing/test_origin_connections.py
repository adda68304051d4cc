"""Connections of the faulty origin: refused, ignored, half open, left, over TLS, and counted."""

import asyncio
import http.client
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import aiohttp
import pytest

from sluicegate.testing import (
    FaultyOrigin,
    Generated,
    HalfOpen,
    NoAnswer,
    Reset,
    Seen,
    SlowClient,
    Stall,
    Status,
)
from sluicegate.testing.certificates import Certificate

LARGE = Generated(1 << 40)
SMALL_BUFFER = 64 * 1024


@pytest.fixture
def origin() -> Iterator[FaultyOrigin]:
    with FaultyOrigin(send_buffer=SMALL_BUFFER) as running:
        running.put("/large", LARGE)
        running.put("/small", b"small")
        yield running


@pytest.fixture
async def client(origin: FaultyOrigin) -> AsyncIterator[SlowClient]:
    async with SlowClient(origin.url, receive_buffer=SMALL_BUFFER) as connected:
        yield connected


async def is_stalled(origin: FaultyOrigin) -> None:
    """Wait until an answer is under way and nothing of it is taken any more."""
    before = -1
    while origin.bytes_sent != before or not origin.bytes_sent:
        before = origin.bytes_sent
        # A glance apart: what still moves moves in less.
        await asyncio.sleep(0.02)


# What the client does is noticed.


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
async def test_client_that_leaves_a_blocked_write_is_noticed(
    how: str, origin: FaultyOrigin, client: SlowClient
) -> None:
    await client.send("GET", "/large")
    await client.read(1000)
    await is_stalled(origin)
    client.leave(how)  # type: ignore[arg-type]
    await origin.until(lambda _: origin.open_connections == 0)
    assert origin.requests[0].ended == "left"
    assert origin.busy_connections == 0


@pytest.mark.parametrize("fault", [Stall(after=1000), NoAnswer()], ids=["stall", "no-answer"])
async def test_client_that_leaves_a_stall_is_noticed(
    fault: Stall | NoAnswer, origin: FaultyOrigin, client: SlowClient
) -> None:
    origin.always(fault)
    await client.send("GET", "/large")
    await origin.until(lambda _: origin.busy_connections == 1)
    client.leave("close")
    await origin.until(lambda _: origin.open_connections == 0)
    assert origin.requests[0].ended == "left"


async def test_half_open_connection_outlives_its_client(origin: FaultyOrigin, client: SlowClient) -> None:
    origin.always(HalfOpen())
    await client.send("GET", "/small")
    await origin.until(lambda _: origin.busy_connections == 1)
    client.leave("reset")
    async with SlowClient(origin.url) as other:
        origin.heal()
        # A whole exchange later it still has not been noticed.
        assert (await other.get("/small")).content == b"small"
    assert [seen.ended for seen in origin.requests] == [None, "complete"]
    assert origin.open_connections >= 1


# Connecting.


async def test_refused_and_accepted_again_on_the_same_port(origin: FaultyOrigin, client: SlowClient) -> None:
    origin.refuse()
    origin.refuse()
    with pytest.raises(ConnectionRefusedError):
        await SlowClient(origin.url).connect()
    assert (await client.get("/small")).content == b"small", "a connection that is open stays"
    origin.accept_again()
    origin.accept_again()
    async with SlowClient(origin.url) as other:
        assert (await other.get("/small")).content == b"small"


async def test_ignored_connection_gets_no_answer(origin: FaultyOrigin) -> None:
    origin.ignore()
    async with SlowClient(origin.url) as ignored:
        await ignored.send("GET", "/small")
        await origin.until(lambda _: origin.open_connections == 1)
        origin.accept_again()
        async with SlowClient(origin.url) as other:
            assert (await other.get("/small")).content == b"small"
    assert len(origin.requests) == 1
    assert origin.connections[0].last is None


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "close"])
async def test_every_connection_is_ended(reset: bool, origin: FaultyOrigin, client: SlowClient) -> None:
    origin.always(Stall(after=1))
    await client.send("GET", "/small")
    await client.read(1)
    origin.disconnect(reset=reset)
    got = await client.drain()
    assert (got.complete, got.reset) == (False, reset)
    assert origin.requests[0].ended == ("reset" if reset else "closed")


async def test_end_of_the_origin_ends_what_is_under_way() -> None:
    with FaultyOrigin() as origin:
        origin.put("/a", b"content")
        origin.fail("/a", Stall(after=1))
        client = await SlowClient(origin.url).connect()
        await client.send("GET", "/a")
        await client.read(1)
    assert not (await client.drain()).complete
    assert origin.requests[0].ended == "stopped"
    assert origin.open_connections == 0
    assert not [thread for thread in threading.enumerate() if "faulty-origin" in thread.name]


# TLS.


async def test_tls_is_trusted_by_its_file() -> None:
    with FaultyOrigin(tls=True) as origin:
        origin.put("/a", b"content")
        origin.put("/b", Generated(1_000_000))
        origin.fail("/b", Reset(after=500_000))
        context = ssl.create_default_context(cafile=str(origin.ca_file))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{origin.url}/a", ssl=context) as got:
                assert await got.read() == b"content"
            async with session.get(f"{origin.url}/b", ssl=context) as got:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await got.read()
    assert [seen.ended for seen in origin.requests] == ["complete", "reset"]
    assert not origin.ca_file.exists()


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        pytest.param("untrusted", "unable to get local issuer|self-signed", id="untrusted"),
        pytest.param("wrong-host", "IP address mismatch", id="wrong-host"),
        pytest.param("expired", "expired", id="expired"),
    ],
)
async def test_bad_certificate_is_refused(certificate: Certificate, words: str) -> None:
    with FaultyOrigin(tls=certificate) as origin:
        context = ssl.create_default_context(cafile=str(origin.ca_file))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError, match=words):
                await session.get(f"{origin.url}/a", ssl=context)
    assert origin.requests == ()


def test_origin_without_tls_has_no_file() -> None:
    with FaultyOrigin() as origin, pytest.raises(RuntimeError, match="made with tls"):
        _ = origin.ca_file


# Counting.


async def test_request_is_told_as_it_came(origin: FaultyOrigin, client: SlowClient) -> None:
    await client.send("GET", "/sm%61ll?a=1&b=%20", {"Range": "bytes=1-2", "X-Odd": b"\xe9"})
    await client.drain()
    (seen,) = origin.requests
    assert seen == Seen(
        number=1,
        connection=seen.connection,
        method="GET",
        path="small",
        query={"a": "1", "b": " "},
        fields=seen.fields,
        range="bytes=1-2",
        status=206,
        sent=2,
        ended="complete",
    )
    assert (seen.fields["x-odd"], seen.open) == ("\xe9", False)


async def test_connections_are_counted(origin: FaultyOrigin) -> None:
    origin.always(Stall(after=1))
    clients = [await SlowClient(origin.url).connect() for _ in range(3)]
    for client in clients:
        await client.send("GET", "/small")
        await client.read(1)
    assert (origin.open_connections, origin.busy_connections, origin.bytes_sent) == (3, 3, 3)
    assert [connected.last and connected.last.path for connected in origin.connections] == ["small"] * 3
    for client in clients[:2]:
        client.close()
    await origin.until(lambda _: origin.busy_connections == 1)
    assert (origin.peak_connections, origin.peak_busy_connections, origin.total_connections) == (3, 3, 3)
    origin.reset_counts()
    assert (origin.peak_connections, origin.peak_busy_connections, origin.total_connections) == (1, 1, 1)
    assert (len(origin.requests), origin.bytes_sent) == (1, 0)
    clients[2].close()
    await origin.until_idle()


async def test_waiting_has_an_end(origin: FaultyOrigin, client: SlowClient) -> None:
    origin.always(Stall(after=1))
    await client.send("GET", "/small")
    await client.read(1)
    with pytest.raises(TimeoutError, match="GET /small: 1 bytes sent"):
        await origin.until_idle(0.0)
    with pytest.raises(TimeoutError, match="1 connections are open"):
        origin.wait_until_idle(0.0)


def test_synchronous_test_uses_it(origin: FaultyOrigin) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", origin.port)) as connection:
        connection.request("PUT", "/new", body=b"content", headers={"Expect": "100-continue"})
        assert connection.getresponse().read() == b""
        connection.request("GET", "/new")
        assert connection.getresponse().read() == b"content"
    origin.wait_until_idle()
    origin.wait_for(lambda origin: origin.open_connections == 0)
    assert [seen.status for seen in origin.requests] == [200, 200]


async def test_request_that_is_none_is_refused(origin: FaultyOrigin, client: SlowClient) -> None:
    await client.send_bytes(b"how are you\r\n\r\n")
    assert (await client.drain()).status == 400
    assert origin.requests == ()


async def test_method_that_it_does_not_know(origin: FaultyOrigin, client: SlowClient) -> None:
    assert (await client.get("/small", method="PATCH")).status == 501


async def test_fault_of_an_upload(origin: FaultyOrigin, client: SlowClient) -> None:
    origin.fail("/new", Status(503))
    await client.send("PUT", "/new", body=b"content")
    assert (await client.drain()).status == 503
    assert origin.content("/new") is None


def test_origin_runs_inside_its_block() -> None:
    with pytest.raises(RuntimeError, match="with block"):
        _ = FaultyOrigin().url
