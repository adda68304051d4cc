"""One record for each call of an `ObjectResponse`, on every path, when everything is over."""

import asyncio
import contextlib
import dataclasses
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest

from sluicegate import ObjectResponse, OpenOutcome, OpenRequest, Outcome, TransferRecord
from sluicegate.errors import (
    BrokenBody,
    ClientTooSlow,
    Denied,
    NotFound,
    TransferCut,
    Unavailable,
    VersionChanged,
)
from sluicegate.http.ranges import Span
from sluicegate.observe import MAX_TEXT

from .fakes import CHUNK, FOREVER, Exchange, ScriptedSource, Step

SIZE = 2 * len(CHUNK)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Observed:
    """Keeps records, and checks that the body was closed when each was made."""

    def __init__(self) -> None:
        self.records: list[TransferRecord] = []
        self.closed_before: list[int] = []
        self.source: ScriptedSource | None = None

    def __call__(self, record: TransferRecord) -> None:
        self.records.append(record)
        if self.source is not None:
            self.closed_before.append(self.source.ledger.closed)

    @property
    def only(self) -> TransferRecord:
        (record,) = self.records
        return record


def scripted(*script: Step, size: int | None = SIZE, failure: BaseException | None = None) -> ScriptedSource:
    return ScriptedSource(script, size, failure=failure)


def response(observed: Observed, source: ScriptedSource, **more: Any) -> ObjectResponse:
    observed.source = source
    return ObjectResponse(source, "a/key", observe=observed, **more)


async def observe(exchange: Exchange, source: ScriptedSource, **more: Any) -> TransferRecord:
    """The record of a call that may fail."""
    observed = Observed()
    with contextlib.suppress(TransferCut, RuntimeError):
        await exchange.call(response(observed, source, **more))
    return observed.only


def outline(record: TransferRecord) -> tuple[Any, ...]:
    return (record.status, record.bytes_promised, record.bytes_sent, record.outcome, record.error)


async def test_whole_record_of_a_plain_transfer() -> None:
    fields = (("x-request-id", "id-1"), ("traceparent", PARENT))
    exchange = Exchange(fields=fields)
    record = await observe(exchange, scripted(CHUNK, CHUNK), route="/files/{key:path}", store="images")
    assert record.first_byte_seconds is not None
    assert 0 <= record.first_byte_seconds <= record.duration_seconds
    assert dataclasses.replace(record, first_byte_seconds=None, duration_seconds=0.0) == TransferRecord(
        request_id="id-1",
        trace_id=TRACE,
        method="GET",
        route="/files/{key:path}",
        store="images",
        key="a/key",
        status=200,
        span_asked=None,
        span_served=None,
        bytes_promised=SIZE,
        bytes_sent=SIZE,
        first_byte_seconds=None,
        duration_seconds=0.0,
        requests=record.requests,
        parts=record.parts,
        resumes=0,
        retries=0,
        parkings=0,
        parked_seconds=0.0,
        outcome=Outcome.COMPLETE,
        error=None,
        parent=PARENT,
    )


async def test_who_it_is_that_asks_is_told_by_who_knows() -> None:
    observed = Observed()
    route = response(observed, scripted(CHUNK, CHUNK))
    await Exchange().call(route.of("b", client="192.0.2.1", subject="ada"))
    await Exchange().call(route.of("c"))
    assert [(record.key, record.client, record.subject) for record in observed.records] == [
        ("b", "192.0.2.1", "ada"),
        ("c", None, None),
    ]


@pytest.mark.parametrize("parent", [f"{PARENT}-more", f"ff{PARENT[2:]}", "", None])
async def test_parent_that_is_not_valid_is_none(parent: str | None) -> None:
    fields = () if parent is None else (("traceparent", parent),)
    record = await observe(Exchange(fields=fields), scripted(CHUNK, CHUNK))
    assert (record.parent, record.trace_id) == (None, None)


@pytest.mark.parametrize(
    ("exchange", "source", "expected"),
    [
        pytest.param(
            Exchange,
            lambda: scripted(CHUNK, CHUNK),
            (200, SIZE, SIZE, "complete", None),
            id="whole",
        ),
        pytest.param(
            Exchange,
            lambda: scripted(CHUNK, size=None),
            (200, None, SIZE // 2, "complete", None),
            id="unknown-length",
        ),
        pytest.param(
            lambda: Exchange(method="HEAD"),
            lambda: scripted(CHUNK, CHUNK),
            (200, 0, 0, "complete", None),
            id="head",
        ),
        pytest.param(
            lambda: Exchange(fields=(("if-none-match", '"v1"'),)),
            lambda: scripted(CHUNK, CHUNK),
            (304, 0, 0, "complete", None),
            id="not-modified",
        ),
        pytest.param(
            lambda: Exchange(method="OPTIONS"),
            scripted,
            (204, 0, 0, "complete", None),
            id="options",
        ),
        pytest.param(
            lambda: Exchange(fail_after=0),
            lambda: scripted(CHUNK, CHUNK),
            (None, None, 0, "client_gone", None),
            id="gone-before-the-head",
        ),
        pytest.param(
            lambda: Exchange(fail_after=2),
            lambda: scripted(CHUNK, CHUNK),
            (200, SIZE, SIZE // 2, "client_gone", None),
            id="gone-in-the-body",
        ),
        pytest.param(
            Exchange,
            lambda: scripted(CHUNK, BrokenBody("reset")),
            (200, SIZE, SIZE // 2, "origin_failed", "BrokenBody: reset"),
            id="broken",
        ),
        pytest.param(
            Exchange,
            lambda: scripted(CHUNK),
            (
                200,
                SIZE,
                SIZE // 2,
                "origin_failed",
                f"TransferCut: the body ended after {SIZE // 2} bytes, {SIZE} were promised",
            ),
            id="short",
        ),
        pytest.param(
            Exchange,
            lambda: scripted(CHUNK, VersionChanged("another ETag")),
            (200, SIZE, SIZE // 2, "version_changed", "VersionChanged: another ETag"),
            id="version-changed",
        ),
        pytest.param(
            Exchange,
            lambda: scripted(CHUNK, RuntimeError("secret")),
            (200, SIZE, SIZE // 2, "failed", "RuntimeError"),
            id="bug",
        ),
        pytest.param(
            Exchange,
            lambda: scripted(failure=RuntimeError("secret")),
            (None, None, 0, "failed", "RuntimeError"),
            id="bug-before-the-head",
        ),
    ],
)
async def test_outcome(
    exchange: Callable[[], Exchange], source: Callable[[], ScriptedSource], expected: tuple[Any, ...]
) -> None:
    record = await observe(exchange(), source())
    status, promised, sent, outcome, error = expected
    assert outline(record) == (status, promised, sent, Outcome(outcome), error)


@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        pytest.param(NotFound("no such key"), 404, "NotFound: no such key", id="missing"),
        pytest.param(Denied("403"), 404, "Denied: 403", id="denied"),
        pytest.param(Unavailable("refused"), 502, "Unavailable: refused", id="unavailable"),
        pytest.param(Unavailable("x" * 9999), 502, None, id="long"),
    ],
)
async def test_answer_that_says_what_is_wrong_is_complete(
    failure: Exception, status: int, error: str | None
) -> None:
    exchange = Exchange()
    record = await observe(exchange, scripted(failure=failure))
    sent = len(exchange.content)
    assert (record.status, record.bytes_promised, record.bytes_sent) == (status, sent, sent)
    assert record.outcome is Outcome.COMPLETE
    assert record.error is not None
    assert len(record.error) <= MAX_TEXT
    assert error in (None, record.error)


async def test_method_that_is_not_allowed_is_told() -> None:
    record = await observe(Exchange(method="PUT"), scripted(CHUNK))
    assert (record.status, record.outcome) == (405, Outcome.COMPLETE)
    assert str(record.error).startswith("MethodNotAllowed: ")


async def test_span_asked_and_span_served() -> None:
    class Ranged(ScriptedSource):
        async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
            found = await super().open(key, request)
            metadata = dataclasses.replace(found.metadata, ranges=True)  # type: ignore[union-attr]
            return dataclasses.replace(found, metadata=metadata, span=Span(10, 20))  # type: ignore[type-var]

    record = await observe(Exchange(fields=(("range", "bytes=10-19"),)), Ranged((bytes(10),), SIZE))
    assert (record.status, record.span_asked, record.span_served) == (206, "bytes=10-19", Span(10, 20))
    assert (record.bytes_promised, record.bytes_sent) == (10, 10)


async def test_range_of_any_length_is_bounded() -> None:
    record = await observe(Exchange(fields=(("range", "bytes=" + "0-1," * 9999),)), scripted(CHUNK, CHUNK))
    assert len(str(record.span_asked)) == MAX_TEXT


@pytest.mark.parametrize("script", [(FOREVER,), (CHUNK, FOREVER)], ids=["before-the-head", "in-the-body"])
async def test_cancellation_from_outside_is_drained(script: tuple[Step, ...]) -> None:
    observed = Observed()
    source = scripted(*script)
    task = asyncio.create_task(Exchange().call(response(observed, source)))
    while source.ledger.reads < len(script):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (observed.only.outcome, observed.only.error) == (Outcome.DRAINED, None)
    assert observed.closed_before == [1]


async def test_client_that_leaves_in_a_read_is_gone() -> None:
    observed, exchange = Observed(), Exchange()
    source = scripted(CHUNK, FOREVER)
    task = asyncio.create_task(exchange.call(response(observed, source)))
    while source.ledger.reads < 2:
        await asyncio.sleep(0)
    exchange.leave()
    await task
    assert (observed.only.outcome, observed.only.bytes_sent) == (Outcome.CLIENT_GONE, len(CHUNK))


async def test_client_that_takes_nothing_is_too_slow() -> None:
    observed = Observed()
    exchange = Exchange(stall_after=2)
    slow = response(observed, scripted(CHUNK, CHUNK), min_drain_rate=1_000_000, min_drain_seconds=0.05)
    with pytest.raises(ClientTooSlow):
        await exchange.call(slow)
    assert observed.only.outcome is Outcome.CLIENT_TOO_SLOW
    assert observed.only.error == (
        "ClientTooSlow: the client took less than 1000000 bytes/s over 0.05 s of what was ready for it"
    )
    assert observed.closed_before == [1]


async def test_slow_origin_is_not_the_clients_fault() -> None:
    observed, exchange = Observed(), Exchange()
    source = scripted(CHUNK, FOREVER)
    slow = response(observed, source, min_drain_rate=1_000_000, min_drain_seconds=1.0)
    task = asyncio.create_task(exchange.call(slow))
    await asyncio.sleep(1.5)
    assert not task.done()
    exchange.leave()
    await task
    assert observed.only.outcome is Outcome.CLIENT_GONE


async def test_content_under_a_limit_is_the_same_in_pieces() -> None:
    content = bytes(range(256)) * 512
    exchange = Exchange()
    await exchange.call(ObjectResponse(scripted(content), "key", min_drain_rate=1000, min_drain_seconds=20.0))
    assert (exchange.content, exchange.is_complete) == (content, True)
    assert max(len(message.get("body", b"")) for message in exchange.sent) == 10_000
    assert [message["more_body"] for message in exchange.sent[1:]] == [True] * 13 + [False]


@pytest.mark.parametrize("script", [(CHUNK, CHUNK), (CHUNK, BrokenBody("reset"))], ids=["whole", "cut"])
async def test_record_comes_once_and_after_the_body_is_closed(script: tuple[Step, ...]) -> None:
    observed = Observed()
    with contextlib.suppress(TransferCut):
        await Exchange().call(response(observed, scripted(*script)))
    assert (len(observed.records), observed.closed_before) == (1, [1])


async def test_observer_that_fails_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def observer(record: TransferRecord) -> None:
        raise RuntimeError("a bug of the observer")

    exchange = await Exchange().call(ObjectResponse(scripted(CHUNK, CHUNK), "key", observe=observer))
    assert (exchange.content, exchange.is_complete) == (CHUNK * 2, True)
    assert [line.getMessage().partition(" (")[0] for line in caplog.records] == ["the observer failed"]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        pytest.param(lambda: scripted(CHUNK, BrokenBody("reset")), "was cut", id="cut"),
        pytest.param(lambda: scripted(failure=Unavailable("refused")), "Unavailable", id="failure"),
    ],
)
async def test_observer_takes_the_place_of_the_log(
    source: Callable[[], ScriptedSource], line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await observe(Exchange(), source())
    assert caplog.text == ""
    with contextlib.suppress(TransferCut):
        await Exchange().call(ObjectResponse(source(), "key"))
    assert line in caplog.text


@pytest.mark.parametrize("given", [None, "id-1", "a b"])
@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", (), 200),
        ("HEAD", (), 200),
        ("OPTIONS", (), 204),
        ("PUT", (), 405),
        ("GET", ("if-none-match", '"v1"'), 304),
        ("GET", ("if-match", '"v2"'), 412),
    ],
)
async def test_every_answer_names_its_request(
    given: str | None, method: str, fields: tuple[str, str], status: int
) -> None:
    sent = (*((fields,) if fields else ()), *((("x-request-id", given),) if given else ()))
    exchange = Exchange(method=method, fields=sent)
    observed = Observed()
    await exchange.call(response(observed, scripted(CHUNK, CHUNK)))
    ids = [value for name, value in exchange.sent[0]["headers"] if name == b"x-request-id"]
    assert (exchange.status, ids) == (status, [observed.only.request_id.encode()])
    assert (observed.only.request_id == given) == (given == "id-1")


async def test_request_id_that_the_route_sets_is_the_only_one() -> None:
    exchange = Exchange()
    await exchange.call(ObjectResponse(scripted(CHUNK, CHUNK), "key", headers={"X-Request-Id": "own"}))
    assert [value for name, value in exchange.sent[0]["headers"] if name == b"x-request-id"] == [b"own"]


async def test_one_response_is_one_tally_whatever_it_costs() -> None:
    tallies = []

    class Noting(ScriptedSource):
        async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
            request.tally.requests += 1
            tallies.append(request.tally)
            return await super().open(key, request)

    # An If-Range that does not hold costs a second request.
    fields = (("range", "bytes=0-1"), ("if-range", '"v2"'))
    record = await observe(Exchange(fields=fields), Noting((CHUNK, CHUNK), SIZE))
    assert len({id(tally) for tally in tallies}) == 1
    assert record.requests == len(tallies)


@pytest.mark.parametrize(
    ("exchange", "source", "status"),
    [
        pytest.param(Exchange(method="HEAD", fail_after=1), scripted(CHUNK, CHUNK), 200, id="head"),
        pytest.param(Exchange(fail_after=1), scripted(failure=NotFound("no such key")), 404, id="problem"),
        pytest.param(Exchange(method="OPTIONS", fail_after=1), scripted(), 204, id="options"),
    ],
)
async def test_head_that_was_sent_is_told_also_if_the_client_leaves_behind_it(
    exchange: Exchange, source: ScriptedSource, status: int
) -> None:
    record = await observe(exchange, source)
    assert (record.outcome, record.status, record.bytes_sent) == (Outcome.CLIENT_GONE, status, 0)


async def test_ids_do_not_come_from_a_generator_that_applications_seed() -> None:
    ids = set()
    for _ in range(2):
        random.seed(42)
        ids.add((await observe(Exchange(), scripted(CHUNK, CHUNK))).request_id)
    assert len(ids) == 2
