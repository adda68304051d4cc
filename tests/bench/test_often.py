"""Every request is right, refused or failed, and the configuration that answered it is known."""

import asyncio
import hashlib
import os
from itertools import count

from bench.often import Requests, ask_often
from tests.servers.process import free_port

from .answering import answering, whole

CONTENT = os.urandom(20_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


async def asked(answer: bytes) -> Requests:
    requests, stopping, numbers = Requests(), asyncio.Event(), count(1)

    def note() -> None:
        if next(numbers) == 3:
            stopping.set()

    async with asyncio.timeout(10), answering(answer, note) as url:
        await ask_often(url, SHA256, requests, stopping)
    return requests


async def test_right_answers_are_timed_with_their_configuration() -> None:
    requests = await asked(whole(CONTENT, "X-Generation: 7"))

    assert len(requests.seconds) == requests.sent >= 3
    assert list(requests.seen) == [7]
    assert (requests.refused, requests.failures) == (0, {})


async def test_wrong_answers_have_failed() -> None:
    requests = await asked(whole(b"gone", status="502 Bad"))

    assert requests.failures == {"answered by 'HTTP/1.1 502 Bad' and 4 bytes": requests.sent}
    assert requests.seconds == []


async def test_other_bytes_have_failed() -> None:
    assert (await asked(whole(CONTENT[:-1]))).failures.total() >= 3


async def test_refused_connections_are_counted_apart() -> None:
    requests, stopping = Requests(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(ask_often(f"http://127.0.0.1:{free_port()}/?", SHA256, requests, stopping))
        while not requests.refused:
            await asyncio.sleep(0)
        stopping.set()

    assert (requests.refused, requests.failures) == (requests.sent, {})
