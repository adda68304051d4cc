"""First bytes are timed over new connections, and compared with those of the quiet time of the same round."""

import asyncio

import pytest

from bench.measure import WrongAnswer
from bench.slow_heads import COMING, GONE, QUIET, THERE, first_byte_rows, first_byte_seconds

from .answering import answering, whole


def test_ratios_are_to_the_quiet_time_of_the_same_round() -> None:
    quick = {QUIET: [0.001] * 3, COMING: [0.004], THERE: [0.002] * 3, GONE: [0.001] * 3}
    slow = {QUIET: [0.010] * 3, COMING: [0.040], THERE: [0.010] * 3, GONE: [0.010] * 3}

    assert first_byte_rows([quick, slow, slow]) == [
        (QUIET, 9, 10.0, 10.0, 10.0, 10.0, 1.0),
        (COMING, 3, 40.0, 40.0, 40.0, 40.0, 4.0),
        (THERE, 9, 10.0, 10.0, 10.0, 10.0, 1.0),
        (GONE, 9, 10.0, 10.0, 10.0, 10.0, 1.0),
    ]


def test_shares_of_one_round_are_of_its_slowest_requests() -> None:
    times = [number / 1000 for number in range(1, 101)]
    rows = first_byte_rows([dict.fromkeys((QUIET, COMING, THERE, GONE), times)])

    assert rows[0] == (QUIET, 100, 50.0, 90.0, 99.0, 100.0, 1.0)


async def test_answer_that_is_no_object_is_not_timed() -> None:
    async with asyncio.timeout(10), answering(whole(b"", status="401 Unauthorized"), lambda: None) as url:
        with pytest.raises(WrongAnswer, match="401"):
            await asyncio.to_thread(first_byte_seconds, url)


async def test_object_is_timed() -> None:
    async with asyncio.timeout(10), answering(whole(b"content"), lambda: None) as url:
        assert await asyncio.to_thread(first_byte_seconds, url) > 0
