"""What an operator reads: a client that leaves is no error, a body that was cut is one that says why."""

import asyncio
import uuid

import pytest

from .conftest import Server
from .origin import Origin
from .raw_client import Connection, Leaving, until

LEFT = (
    "/script/stall-first?id={id}",
    "/script/stall-later?id={id}",
    "/script/endless?id={id}",
    "/script/endless-thread?id={id}",
    "/wrapped/script/endless?id={id}",
    "/scripted/stall-open?id={id}",
    "/scripted/stall-later?id={id}",
    "/starlette/origin-obstore/endless/{id}",
    "/starlette/origin-aiobotocore/endless/{id}",
    "/starlette/origin-botocore/endless/{id}",
    "/starlette/origin-http/endless/{id}",
    "/library/aiohttp/origin/endless/{id}",
    "/library/httpx/origin/endless/{id}",
    "/library/httpx-sync/origin/endless/{id}",
)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_client_that_leaves_is_no_error(server: Server, origin: Origin, how: Leaving) -> None:
    await server.logged()

    async def one(path: str) -> None:
        name = uuid.uuid4().hex
        connection = await Connection.open(server.url, receive_buffer=4096)
        await connection.send("GET", path.format(id=name))

        async def begun() -> bool:
            stats = await server.stats(name)
            return bool(stats["opened"] or stats["reads"]) or await origin.is_asked(name)

        await until(begun)
        connection.leave(how)

        async def over() -> bool:
            stats = await server.stats(name)
            return bool(stats["background"]) or await origin.is_released(name)

        await until(over)

    await asyncio.gather(*map(one, LEFT))
    assert await server.logged() == []


@pytest.mark.parametrize("wrapper", ["", "/wrapped"], ids=["bare", "BaseHTTPMiddleware"])
@pytest.mark.parametrize("name", ["short", "fail-later", "fail-later-unsized", "bug-later-unsized"])
async def test_body_that_was_cut_is_an_error_that_says_why(server: Server, name: str, wrapper: str) -> None:
    await server.logged()
    await server.fetch(f"{wrapper}/scripted/{name}?id={uuid.uuid4().hex}")
    lines = await server.logged()
    reasons = {
        "short": "the body ended after 65536 bytes, 131072 were promised",
        "fail-later": "the body broke after 65536 bytes",
        "fail-later-unsized": "the body broke after 65536 bytes",
        "bug-later-unsized": "RuntimeError",
    }
    assert any(reasons[name] in line for line in lines), lines


async def test_whole_answers_are_no_errors(server: Server) -> None:
    await server.logged()
    for path in ("/script/two-chunks", "/script/two-chunks-thread", "/scripted/whole", "/scripted/unsized"):
        for method in ("GET", "HEAD"):
            answer = await server.fetch(f"{path}?id={uuid.uuid4().hex}", method)
            assert (answer.status, answer.complete) == (200, True)
    assert await server.logged() == []
