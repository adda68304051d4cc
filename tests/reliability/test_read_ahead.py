"""Several connections at once where one is slow; one request where there is nothing to gain."""

import pytest

from sluicegate import Outcome
from sluicegate.testing import MIB, Bandwidth, Generated, IgnoreRange, ResetBetween

from .conftest import Serving
from .service import AHEAD, PART, PATH

SLOW = Bandwidth(2.5 * MIB)
SLOWER = Bandwidth(MIB)
"""Far below what a machine that is busy takes: the origin is the one that is waited for."""

LARGE = Generated(MIB + 12_345)


async def test_slow_connections_are_used_at_the_same_time(served: Serving) -> None:
    async with served(AHEAD, content=LARGE) as service:
        service.origin.always(SLOWER)
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == LARGE.read()) == (200, True, True)
        assert (record.outcome, record.resumes, record.retries) == (Outcome.COMPLETE, 0, 0)
        assert 1 < service.origin.peak_busy_connections <= 9
        assert 0 < service.budget.peak <= AHEAD.read_ahead
        assert record.parts == record.requests == len(service.asked) > 2
        assert {seen.fields.get("if-match") for seen in service.asked[1:]} == {answer.get("etag")}


async def test_slow_connections_that_break_too_give_the_whole(served: Serving) -> None:
    async with served(AHEAD, content=LARGE) as service:
        service.origin.always(SLOWER)
        service.origin.fail(PATH, ResetBetween(10_000, 100_000), first=2, times=8)
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == LARGE.read()) == (200, True, True)
        assert record.outcome is Outcome.COMPLETE
        assert service.origin.peak_busy_connections > 1
        assert service.budget.peak <= AHEAD.read_ahead


@pytest.mark.parametrize("budget", [0, 2 * PART], ids=["nothing", "two-parts"])
async def test_budget_bounds_the_connections(served: Serving, budget: int) -> None:
    async with served(AHEAD, budget=budget, content=Generated(MIB)) as service:
        service.origin.always(SLOW)
        answer, _ = await service.get()
        assert (answer.complete, answer.content == Generated(MIB).read()) == (True, True)
        assert service.budget.peak <= budget
        assert service.origin.peak_busy_connections <= 1 + budget // PART


async def test_origin_without_ranges_serves_the_whole_by_its_first_request(served: Serving) -> None:
    async with served(AHEAD, content=Generated(MIB)) as service:
        service.origin.always(SLOW, IgnoreRange())
        answer, record = await service.get()
        assert (answer.status, answer.complete) == (200, True)
        assert answer.content == Generated(MIB).read()
        assert (record.outcome, record.parts, record.resumes) == (Outcome.COMPLETE, 1, 0)
        await service.origin.until_idle()
        first = service.asked[0]
        assert (first.sent, first.ended) == (MIB, "complete")


@pytest.mark.parametrize("position", [0, 5 * MIB - 1, (1 << 40) - 1], ids=["first", "middle", "last"])
async def test_byte_of_a_terabyte_costs_a_request_for_a_byte(served: Serving, position: int) -> None:
    huge = Generated(1 << 40)
    async with served(AHEAD, content=huge) as service:
        answer, record = await service.get([("Range", f"bytes={position}-{position}")])
        assert (answer.status, answer.complete) == (206, True)
        assert answer.content == huge.read(position, position + 1)
        assert (record.requests, record.parts, record.bytes_sent) == (1, 1, 1)
        (asked,) = service.asked
        assert (asked.range, asked.sent) == (f"bytes={position}-{position}", 1)


@pytest.mark.parametrize("size", [1, PART - 1, PART, 3 * PART], ids=str)
async def test_object_that_comes_at_once_costs_one_request(
    served: Serving, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At once: before it is looked at whether more connections would help, however long the machine takes.
    monkeypatch.setattr("sluicegate.flow.parts.PERIOD_SECONDS", 1000.0)
    async with served(AHEAD, content=Generated(size)) as service:
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content) == (200, True, bytes(Generated(size).read()))
        assert (record.requests, record.parts, record.resumes, record.retries) == (1, 1, 0, 0)
        (asked,) = service.asked
        assert (asked.range, asked.sent, asked.ended) == (None, size, "complete")
