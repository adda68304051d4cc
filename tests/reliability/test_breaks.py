"""Origins that break, and work again: what is asked of them, and that the client gets the whole."""

import asyncio
from typing import Any

import pytest

from sluicegate import Outcome
from sluicegate.testing import (
    Close,
    FaultyOrigin,
    Garbage,
    HangUp,
    Reset,
    Stall,
    Status,
)

from .conftest import Serving
from .service import ALONE, CONTENT, MIDDLE, PART, PATH, PATIENT, SIZE, Kind, resumed_at

ASKS_ONCE_MORE = ("aiobotocore", "http")
"""aiohttp makes a request again by itself, once, whose connection ended before any answer: it may have been
an idle one that the origin had closed."""

BREAKS: list[Any] = [
    pytest.param(Reset(1), 1, id="reset-at-1"),
    pytest.param(Reset(MIDDLE), MIDDLE, id="reset-in-the-middle"),
    pytest.param(Reset(SIZE - 1), SIZE - 1, id="reset-at-the-last-byte"),
    pytest.param(Close(MIDDLE), MIDDLE, id="clean-early-end"),
    pytest.param(Stall(MIDDLE), MIDDLE, id="stall"),
]


STALLED_SECONDS = 2.0
"""A `read_timeout` for an origin that stalls once, and is not to be taken for one that stalls again."""


@pytest.mark.parametrize(("fault", "offset"), BREAKS)
async def test_body_goes_on_from_the_byte_where_it_broke(served: Serving, fault: Any, offset: int) -> None:
    async with served(read_timeout=STALLED_SECONDS if isinstance(fault, Stall) else PATIENT) as service:
        service.origin.fail(PATH, fault, times=1)
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        told = (record.outcome, record.requests, record.resumes, record.retries, record.parkings)
        assert told == (Outcome.COMPLETE, 2, 1, 0, 0)
        first, second = service.asked
        assert (first.range, first.fields.get("if-match")) == (None, None)
        # What a client library holds of a connection that breaks may be lost with it.
        assert resumed_at(second) <= offset
        assert second.range == f"bytes={resumed_at(second)}-{SIZE - 1}"
        assert second.fields["if-match"] == answer.get("etag")


@pytest.mark.parametrize("fault", [Reset(0), Close(0), HangUp(), HangUp(reset=True)], ids=repr)
async def test_break_before_the_first_byte_costs_one_more_request(
    served: Serving, kind: Kind, fault: Any
) -> None:
    async with served() as service:
        service.origin.fail(PATH, fault, times=1)
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        assert (record.outcome, len(service.asked)) == (Outcome.COMPLETE, 2)
        if isinstance(fault, HangUp) and kind in ASKS_ONCE_MORE:
            assert (record.requests, record.resumes, record.retries) == (1, 0, 0)
        else:
            assert (record.requests, record.resumes + record.retries) == (2, 1)


PASSING: list[Any] = [
    pytest.param([Status(500)], id="500"),
    pytest.param([Status(503), Status(504)], id="503-then-504"),
    pytest.param([Status(503, retry_after=1)], id="slow-down"),
    pytest.param([Status(429)], id="429"),
]


@pytest.mark.parametrize("steps", PASSING)
async def test_origin_that_is_away_when_it_is_asked_again_is_asked_once_more(
    served: Serving, kind: Kind, steps: list[Any]
) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), *steps])
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        told = (record.outcome, record.requests, record.resumes, record.retries)
        assert told == (Outcome.COMPLETE, 2 + len(steps), 1, len(steps))
        assert len({seen.range for seen in service.asked[1:]}) == 1
        if getattr(steps[0], "retry_after", None) and kind != "obstore":
            assert record.duration_seconds >= 1.0


@pytest.mark.parametrize("steps", PASSING[:2])
async def test_client_without_a_byte_waits_for_what_passes(served: Serving, steps: list[Any]) -> None:
    async with served() as service:
        service.origin.script(PATH, steps)
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        told = (record.outcome, record.requests, record.resumes, record.retries)
        assert told == (Outcome.COMPLETE, 1 + len(steps), 0, len(steps))


async def test_hang_ups_before_an_answer_are_met_by_new_requests(served: Serving, kind: Kind) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), HangUp(reset=True), HangUp()])
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        assert (record.outcome, record.resumes, len(service.asked)) == (Outcome.COMPLETE, 1, 4)
        assert record.retries == (1 if kind in ASKS_ONCE_MORE else 2)


async def test_refused_connections_are_tried_again(served: Serving) -> None:
    async with served(rebinds=True) as service:
        service.origin.fail(PATH, Stall(MIDDLE), times=1)
        async with service.client() as client:
            await client.read_head()
            await service.origin.until(lambda origin: origin.bytes_sent >= MIDDLE)
            service.origin.refuse()
            service.origin.disconnect(reset=True)
            answering = asyncio.create_task(client.drain())
            await service.origin.until(lambda _: service.accounts[-1].retries)
            service.origin.accept_again()
            answer = await answering
        record = await service.record()
        assert (answer.complete, answer.content == CONTENT) == (True, True)
        assert (record.outcome, record.resumes, len(service.asked)) == (Outcome.COMPLETE, 1, 2)
        assert record.retries >= 1


async def test_garbage_when_it_is_asked_again_is_a_cut(served: Serving, kind: Kind) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), Garbage()])
        answer, record = await service.get()
        if kind == "botocore":
            # It tells what is no HTTP from a connection that broke in no way.
            assert (answer.complete, answer.content == CONTENT, record.retries) == (True, True, 1)
            return
        assert (answer.status, answer.complete, CONTENT.startswith(answer.content)) == (200, False, True)
        assert (record.outcome, record.resumes, record.requests) == (Outcome.ORIGIN_FAILED, 1, 2)
        assert str(record.error).startswith("BadAnswer")


async def test_origin_that_never_comes_back_is_given_up(served: Serving) -> None:
    transfers = type(ALONE)(part_size=ALONE.part_size, read_ahead=0, park_after=None, give_up_after=2.0)
    async with served(transfers) as service:
        service.origin.fail(PATH, Reset(MIDDLE), times=1)
        service.origin.fail(PATH, Status(500), first=2)
        answer, record = await service.get()
        assert (answer.status, answer.complete, CONTENT.startswith(answer.content)) == (200, False, True)
        assert (record.outcome, record.resumes) == (Outcome.ORIGIN_FAILED, 1)
        assert str(record.error).startswith("Unavailable")
        assert record.requests == len(service.asked) == 2 + record.retries


async def test_breaks_with_progress_are_no_reason_to_give_up(served: Serving) -> None:
    """Each connection breaks, and far more often than requests are tried that bring nothing."""
    async with served() as service:
        service.origin.fail(PATH, Reset(MIDDLE), times=1)
        service.origin.fail(PATH, Reset(70_000), first=2, times=6)
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        assert record.outcome is Outcome.COMPLETE
        assert record.resumes > 3
        tags = {seen.fields.get("if-match") for seen in service.asked[1:]}
        assert tags == {answer.get("etag")}


async def test_bad_certificate_when_it_is_asked_again_passes(served: Serving, kind: Kind) -> None:
    """As where one of several servers behind one address has not been given its new certificate yet."""
    with FaultyOrigin(tls="untrusted") as other:
        async with Front() as front, served(tls=True, address=front.url) as service:
            front.ports = [service.origin.port, other.port, service.origin.port]
            service.origin.fail(PATH, Reset(MIDDLE), times=1)
            answer, record = await service.get()
            assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
            told = (record.outcome, record.requests, record.resumes, record.retries)
            assert told == (Outcome.COMPLETE, 3, 1, 1)
            assert (len(service.asked), other.requests) == (2, ())


class Front:
    """One address for several servers: each connection goes on to the next of `ports`, the last for ever."""

    def __init__(self) -> None:
        self.ports: list[int] = []

    async def __aenter__(self) -> "Front":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self.ports.pop(0) if len(self.ports) > 1 else self.ports[0]
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_relay(reader, behind_writer), _relay(behind_reader, writer))


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(PART):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
