"""Readiness: real stores and origins that answer, deny, break, or say nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sluicegate import HttpOptions, OpenOutcome, OpenRequest, Source, StoreOptions, open_http, open_store
from sluicegate.errors import Denied, NotFound
from sluicegate.gateway.config.values import Client
from sluicegate.gateway.readiness import Check, Probe, Readiness, ReadinessReport
from sluicegate.testing import FaultyOrigin, Status
from tests.conftest import BUCKET
from tests.delivery.fakes import CHUNK, ScriptedSource
from tests.servers.s3 import S3Server

MISSING = "answers, and has no object of a key that nobody uses"


async def check_of(source: Source, key: str | None = None, **options: Any) -> Check:
    """What is found of one source."""
    # What answers has done so well before this, also on a machine that is busy.
    options = {"limit_seconds": 20.0, **options}
    (check,) = (await Readiness([Probe("store 's'", source, key)], **options).report()).checks
    return check


def said(check: Check) -> tuple[bool, str]:
    return check.ok, check.message


@asynccontextmanager
async def http(origin: FaultyOrigin) -> AsyncIterator[Source]:
    options = HttpOptions(headers={"authorization": "Bearer secret-7f3a"})
    async with open_http(origin.url, options) as source:
        yield source


async def test_origin_that_answers_is_ready() -> None:
    with FaultyOrigin() as origin:
        origin.put("/a", b"content")
        async with http(origin) as source:
            assert said(await check_of(source)) == (True, MISSING)
            assert said(await check_of(source, "a")) == (True, "answers")
        assert [request.method for request in origin.requests] == ["HEAD", "GET", "HEAD"]


async def test_object_that_must_be_there_and_is_not_is_told() -> None:
    with FaultyOrigin() as origin:
        async with http(origin) as source:
            ok, message = said(await check_of(source, "probe.txt"))
    assert (ok, message.partition(": ")[0]) == (
        False,
        "the object 'probe.txt' that it must have is not there",
    )


async def test_refused_credentials_are_told_with_what_may_help() -> None:
    with FaultyOrigin() as origin:
        origin.always(Status(403))
        async with http(origin) as source:
            without, with_key = await check_of(source), await check_of(source, "a")
    assert (without.ok, with_key.ok) == (False, False)
    assert without.message.startswith("the origin refuses: ")
    assert without.message.endswith("name an object that is there with `probe`")
    assert "`probe`" not in with_key.message
    assert "7f3a" not in without.message + with_key.message


async def test_origin_that_fails_or_is_away_is_not_ready() -> None:
    with FaultyOrigin() as origin:
        origin.always(Status(500))
        async with http(origin) as source:
            ok, message = said(await check_of(source))
            assert (ok, message.partition(":")[0]) == (False, "Unavailable")
            origin.refuse()
            ok, message = said(await check_of(source))
            assert (ok, message.partition(":")[0]) == (False, "Unavailable")


async def test_origin_that_says_nothing_is_not_ready_within_the_limit() -> None:
    silent = replace(ScriptedSource(), stalls=True)
    assert said(await check_of(silent, limit_seconds=0.05)) == (False, "no answer within 0.05 s")


async def test_bug_of_a_source_is_one_check_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    broken = ScriptedSource(failure=RuntimeError("secret-7f3a"))
    report = await Readiness([Probe("a", broken), Probe("b", ScriptedSource((CHUNK,)))]).report()
    assert [said(check) for check in report.checks] == [
        (False, "RuntimeError: see the log"),
        (True, "answers"),
    ]
    assert "asking a whether it is ready failed" in caplog.text


@pytest.mark.parametrize("secret", [None, "secret-7f3a"], ids=["good", "bad"])
async def test_credentials_of_a_store_are_proved(juicefs_server: S3Server, secret: str | None) -> None:
    options = StoreOptions(
        endpoint_url=juicefs_server.endpoint_url,
        region="us-east-1",
        access_key_id=juicefs_server.access_key,
        secret_access_key=secret or juicefs_server.secret_key,
    )
    async with open_store(f"s3://{BUCKET}", options) as source:
        ok, message = said(await check_of(source))
    assert (ok, message == MISSING) == (secret is None, secret is None)
    assert ok or message.startswith("the origin refuses: ")
    assert "7f3a" not in message


@pytest.mark.parametrize("client", ["obstore", "aiobotocore", "botocore"])
async def test_bucket_that_is_not_there_is_not_ready(client: Client) -> None:
    with FaultyOrigin() as origin:
        origin.always(Status(404, error="NoSuchBucket"))
        options = StoreOptions(
            endpoint_url=origin.url, region="us-east-1", access_key_id="a", secret_access_key="b"
        )
        async with open_store("s3://no-such-bucket", options, client=client) as source:
            ok, message = said(await check_of(source))
    assert (ok, message.partition(": ")[0]) == (False, "there is no such bucket or container")
    assert message.endswith("NoSuchBucket")


async def test_place_that_only_the_error_of_a_range_tells_of_is_not_ready() -> None:
    class Nowhere(ScriptedSource):
        async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
            raise NotFound("az://c/k: 404" if request.head else "az://c/k: 404 ContainerNotFound")

    assert said(await check_of(Nowhere())) == (
        False,
        "there is no such bucket or container: az://c/k: 404 ContainerNotFound",
    )


# What is remembered, and what is shared.


@dataclass
class Counting(ScriptedSource):
    """Keeps the keys that it is asked for; each answer waits for `gate`."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    keys: list[str] = field(default_factory=list)

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        self.keys.append(key)
        await self.gate.wait()
        return await super().open(key, request)


async def test_those_who_ask_at_the_same_time_share_one_asking() -> None:
    source = Counting()
    readiness = Readiness([Probe("a", source)])
    asking = [asyncio.create_task(readiness.report()) for _ in range(20)]
    while not source.keys:
        await asyncio.sleep(0)
    source.gate.set()
    reports = await asyncio.gather(*asking)
    assert len(source.keys) == 1
    assert all(report.ready for report in reports)


async def test_who_waits_asks_if_the_one_who_asked_has_left() -> None:
    source = Counting()
    readiness = Readiness([Probe("a", source)])
    first, second = (asyncio.create_task(readiness.report()) for _ in range(2))
    while not source.keys:
        await asyncio.sleep(0)
    first.cancel()
    source.gate.set()
    assert (await second).ready
    assert first.cancelled()
    assert len(set(source.keys)) == 2


async def test_all_sources_are_asked_at_once() -> None:
    sources = [Counting() for _ in range(5)]
    report = asyncio.create_task(Readiness([Probe("a", source) for source in sources]).report())
    while not all(source.keys for source in sources):
        await asyncio.sleep(0)
    for source in sources:
        source.gate.set()
    assert (await report).ready


@pytest.mark.parametrize(("cache_seconds", "asked"), [(60.0, 1), (0.0, 3)])
async def test_answer_counts_for_a_while(cache_seconds: float, asked: int) -> None:
    source = Counting()
    source.gate.set()
    readiness = Readiness([Probe("a", source)], cache_seconds=cache_seconds)
    reports = [await readiness.report() for _ in range(3)]
    assert len(source.keys) == asked
    ages = [report.checks[0].age_seconds for report in reports]
    assert ages[0] >= 0
    assert (ages == sorted(ages)) or cache_seconds == 0


async def test_one_source_that_is_not_ready_is_enough() -> None:
    good, bad = ScriptedSource((CHUNK,)), ScriptedSource(failure=Denied("403"))
    report = await Readiness([Probe("good", good, "k"), Probe("bad", bad, "k")]).report()
    assert (report.ready, [check.ok for check in report.checks]) == (False, [True, False])
    assert good.ledger.closed == 1


async def test_gateway_without_sources_is_ready() -> None:
    assert await Readiness([]).report() == ReadinessReport(True, ())
