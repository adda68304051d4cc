"""Clients that stall: the origin is left alone, and the body goes on where it was."""

import pytest

from sluicegate import Outcome, TransferOptions
from sluicegate.testing import MIB, Bandwidth, Generated, Reset

from .conftest import Serving
from .service import PART, PATH, resumed_at

LARGE = Generated(24 * MIB)
"""More than the sockets on the way hold."""

PARKING = TransferOptions(part_size=PART, read_ahead=0, park_after=0.2, give_up_after=10.0)
PARKING_AHEAD = TransferOptions(part_size=PART, read_ahead=4 * PART, park_after=0.2, give_up_after=10.0)


@pytest.mark.parametrize("transfers", [PARKING, PARKING_AHEAD], ids=["alone", "ahead"])
async def test_stalled_client_costs_no_connection_and_gets_the_whole(
    served: Serving, transfers: TransferOptions
) -> None:
    async with served(transfers, content=LARGE) as service:
        async with service.client() as client:
            head = await client.read_head()
            began = await client.read(1000)
            await service.origin.until(
                lambda origin: len(origin.requests) and origin.busy_connections == service.budget.taken == 0
            )
            asked = len(service.asked)
            assert service.origin.peak_busy_connections <= 1 + transfers.read_ahead // PART
            answer = await client.drain()
        record = await service.record()
        assert (answer.complete, began + answer.content == LARGE.read()) == (True, True)
        assert (record.outcome, record.resumes, record.retries) == (Outcome.COMPLETE, 0, 0)
        assert record.parkings >= 1
        assert record.parked_seconds > 0
        # A machine that stops for a moment is a client that stalls, and one that waits: then it is parked
        # once more, and parts are read ahead before that.
        assert len(service.asked) == 1 + record.parkings or transfers.read_ahead
        again = service.asked[asked]
        assert (again.fields.get("if-match"), resumed_at(again) > 0) == (head.get("etag"), True)


async def test_read_ahead_is_dropped_for_a_client_that_stalls(served: Serving) -> None:
    async with served(PARKING_AHEAD, content=LARGE) as service:
        service.origin.fail(PATH, Bandwidth(MIB), times=8)
        async with service.client() as client:
            await service.origin.until(lambda origin: origin.peak_busy_connections > 1)
            # From here on nothing is read, and the origin is as fast as it can be.
            service.origin.heal()
            await service.origin.until(lambda origin: origin.busy_connections == service.budget.taken == 0)
            answer = await client.drain()
        record = await service.record()
        assert (answer.complete, answer.content == LARGE.read()) == (True, True)
        assert record.parkings >= 1
        assert service.budget.peak <= PARKING_AHEAD.read_ahead


async def test_connection_that_breaks_when_the_client_comes_back_is_replaced(served: Serving) -> None:
    async with served(PARKING, content=LARGE) as service:
        service.origin.fail(PATH, Reset(2 * MIB), first=2, times=1)
        async with service.client() as client:
            await client.read_head()
            await service.origin.until(lambda origin: len(origin.requests) and not origin.busy_connections)
            answer = await client.drain()
        record = await service.record()
        assert (answer.complete, answer.content == LARGE.read()) == (True, True)
        assert (record.outcome, record.resumes) == (Outcome.COMPLETE, 1)


async def test_object_that_changed_while_the_client_stalled_is_not_joined(served: Serving) -> None:
    async with served(PARKING, content=LARGE) as service:
        async with service.client() as client:
            await client.read_head()
            await service.origin.until(lambda origin: len(origin.requests) and not origin.busy_connections)
            service.origin.put(PATH, Generated(24 * MIB, seed=1))
            answer = await client.drain()
        record = await service.record()
        assert not answer.complete
        assert answer.content == LARGE.read(0, len(answer.content))
        assert (record.outcome, len(service.asked)) == (Outcome.VERSION_CHANGED, 2)
