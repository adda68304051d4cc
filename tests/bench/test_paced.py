"""A transfer is exact or broken, and why it is broken is known."""

import asyncio
import hashlib
import os
from collections import Counter

import pytest

from bench.paced import Transfers, transfer_again

from .answering import answering, whole

CONTENT = os.urandom(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


async def transferred(answer: bytes) -> Transfers:
    transfers, stopping = Transfers(), asyncio.Event()
    async with asyncio.timeout(10), answering(answer, stopping.set) as url:
        await transfer_again(url, SHA256, transfers, stopping)
    return transfers


async def test_whole_object_is_exact() -> None:
    assert await transferred(whole(CONTENT)) == Transfers(exact=1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(whole(CONTENT[:-1], length=len(CONTENT)), "the content was cut", id="short"),
        pytest.param(whole(CONTENT, length=len(CONTENT) - 1), "more than was promised", id="long"),
        pytest.param(whole(CONTENT[:-1] + b"?"), "other bytes", id="changed"),
        pytest.param(whole(b"", status="503 Busy"), "answered by 'HTTP/1.1 503 Busy'", id="refused"),
        pytest.param(b"", "no answer", id="closed"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "the head was cut", id="cut head"),
    ],
)
async def test_everything_else_is_broken(answer: bytes, reason: str) -> None:
    assert await transferred(answer) == Transfers(broken=Counter([reason]))
