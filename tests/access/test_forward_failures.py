"""Forward authentication with a service that breaks, stalls or is not there: it denies, and holds nothing."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import trustme

from sluicegate.access.base import Grant
from sluicegate.access.errors import BadCredentials
from sluicegate.access.forward import ERRORS, ForwardAuth, ForwardOptions
from sluicegate.testing import assert_no_leak
from tests.access.forwarding import (
    BROKEN,
    TOKEN,
    YES,
    asked,
    forward,
    reason,
)
from tests.servers.process import free_port
from tests.sources.raw_origin import CLOSE, RESET, STALL, Answer, Pause, answer, raw_origin

# What goes wrong.


async def test_service_that_is_not_there_denies() -> None:
    options = ForwardOptions(url=f"http://127.0.0.1:{free_port()}/verify")
    async with assert_no_leak(), ForwardAuth(options) as auth:
        assert reason(await auth.verify(asked(TOKEN))) == "could not be reached"


async def test_host_that_does_not_exist_denies() -> None:
    async with ForwardAuth(ForwardOptions(url="http://service.invalid/verify")) as auth:
        assert reason(await auth.verify(asked(TOKEN))) in ("could not be reached", "did not answer in time")


@pytest.mark.parametrize(
    "silence",
    [(STALL,), (b"HTTP/1.1 200 OK\r\nx: y", STALL), (b"HTTP/1.1 103 Early Hints\r\n\r\n", STALL)],
    ids=["nothing", "half-a-head", "interim-answers-alone"],
)
async def test_service_that_does_not_answer_in_time_denies(silence: Answer) -> None:
    async with raw_origin(silence) as origin, assert_no_leak(), forward(origin, timeout_seconds=0.1) as auth:
        assert reason(await auth.verify(asked(TOKEN))) == "did not answer in time"
        await origin.quiet()


async def test_time_is_the_one_that_was_configured() -> None:
    async with (
        raw_origin((STALL,)) as origin,
        forward(origin, timeout_seconds=0.1) as short,
        forward(origin, timeout_seconds=60.0) as long,
    ):
        first, other = (asyncio.create_task(auth.verify(asked(TOKEN))) for auth in (short, long))
        assert reason(await first) == "did not answer in time"
        assert not other.done()
        other.cancel()


async def test_wait_for_a_connection_is_part_of_the_time() -> None:
    async with (
        raw_origin((STALL,)) as origin,
        forward(origin, timeout_seconds=0.1, max_connections=1) as auth,
    ):
        seen = await asyncio.gather(*[auth.verify(asked(TOKEN)) for _ in range(5)])
        assert [reason(one) for one in seen] == ["did not answer in time"] * 5
        # Those that wait end with the first, or have its connection for what is left of their time.
        assert origin.connections < 5


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        pytest.param((CLOSE,), "broke the connection", id="close"),
        pytest.param((RESET,), "broke the connection", id="reset"),
        pytest.param((b"HTTP/1.1 200 OK\r\nx:", CLOSE), "broke the connection", id="close-in-the-head"),
        pytest.param((b"HTTP/1.1 200 OK\r\nx:", RESET), "broke the connection", id="reset-in-the-head"),
        pytest.param((b"secret\r\n\r\n", CLOSE), "answered what is not HTTP", id="garbage"),
        pytest.param((b"\x16\x03\x01\x02\x00", CLOSE), "answered what is not HTTP", id="tls"),
        pytest.param((b"HTTP/1.1 2x0 OK\r\n\r\n", CLOSE), "answered what is not HTTP", id="status"),
        pytest.param(
            (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", CLOSE),
            "answered what is not HTTP",
            id="length",
        ),
        pytest.param((b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", CLOSE), "answered what is not HTTP", id="nul"),
        pytest.param(
            (answer("200 OK", x="y" * 100_000), CLOSE), "answered what is not HTTP", id="huge-field"
        ),
        pytest.param(
            (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n", CLOSE),
            "answered what is not HTTP",
            id="endless-head",
        ),
    ],
)
async def test_broken_answer_denies(steps: Answer, words: str) -> None:
    async with raw_origin(steps) as origin, assert_no_leak(), forward(origin) as auth:
        assert reason(await auth.verify(asked(TOKEN))) == words
        await origin.quiet()


async def test_connection_that_breaks_is_asked_once_more() -> None:
    # One that was kept may be closed by the service in the moment in which it is used again.
    async with raw_origin((CLOSE,), YES) as origin, forward(origin) as auth:
        assert await auth.verify(asked(TOKEN)) == Grant()
    async with raw_origin((CLOSE,)) as origin, forward(origin) as auth:
        assert reason(await auth.verify(asked(TOKEN))) == "broke the connection"
        assert len(origin.requests) == 2


def test_every_exception_of_the_client_has_words() -> None:
    kinds = [
        kind
        for kind in vars(aiohttp).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and kind.__module__.startswith("aiohttp.client")
    ]
    assert len(kinds) > 15
    # The one that is no ClientError is of web sockets.
    covered = tuple(kind for kind, _ in ERRORS)
    assert [kind.__name__ for kind in kinds if not issubclass(kind, covered)] == ["WSMessageTypeError"]


# The body that nobody reads.


@pytest.mark.parametrize(
    "steps",
    [YES, BROKEN, (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", Pause(0.02), b"123456789")],
    ids=["none", "short", "later"],
)
async def test_connection_serves_again_after_a_short_body(
    steps: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Short is a matter of bytes here: of its time, a busy machine may take more than there is.
    monkeypatch.setattr("sluicegate.access.forward.DISCARD_SECONDS", 30.0)
    async with raw_origin(steps) as origin, forward(origin) as auth:
        for _ in range(3):
            await auth.verify(asked(TOKEN))
        assert (len(origin.requests), origin.connections) == (3, 1)


class Taken(list[bytes]):
    """The steps of an answer, and how many of them were taken."""

    count = 0

    def __iter__(self) -> Iterator[bytes]:
        for step in super().__iter__():
            self.count += 1
            yield step


async def test_no_more_than_a_short_body_is_read() -> None:
    steps = Taken([b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n", *[b"x" * 65536] * 1000])
    async with raw_origin(steps) as origin, forward(origin) as auth:
        assert await auth.verify(asked(TOKEN)) == Grant()
        await origin.quiet()
    # What is on its way: the buffers of two sockets.
    assert steps.count < 200


@pytest.mark.parametrize(
    "rest",
    [(STALL,), (b"x" * 100, CLOSE), (b"x" * 100, RESET), (*[b"x" * 65536] * 100, STALL)],
    ids=["stall", "close", "reset", "long"],
)
async def test_body_changes_nothing_and_holds_nothing(rest: Answer) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    async with raw_origin((head, *rest)) as origin, assert_no_leak(), forward(origin) as auth:
        assert await auth.verify(asked(TOKEN)) == Grant()
        await origin.quiet()


# TLS.


async def test_certificate_is_checked(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(str(trusted))
    stranger.cert_pem.write_to_path(str(other))
    async with raw_origin(YES, tls=context) as origin:
        for tls_verify, expected in ((str(trusted), True), (False, True), (True, False), (str(other), False)):
            async with forward(origin, tls_verify=tls_verify) as auth:
                seen = await auth.verify(asked(TOKEN))
            assert (seen == Grant()) == expected
            assert expected or reason(seen) == "could not be reached through TLS"


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "no-certificate"])
async def test_file_of_no_certificates_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    options = ForwardOptions(url="https://127.0.0.1/verify", tls_verify=str(path))
    with pytest.raises(BadCredentials, match="tls_verify: no CA certificates"):
        await ForwardAuth(options).__aenter__()
