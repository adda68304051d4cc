"""The fixtures of `sluicegate.testing`, which pytest finds by itself where Sluicegate is installed.

They import what they give when a test asks for it, and nothing before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from sluicegate.testing.leaks import assert_no_leak as AssertNoLeak  # noqa: N812 - the fixture has the name
    from sluicegate.testing.origin import FaultyOrigin
    from sluicegate.testing.slow_client import SlowClient


class OpenSlowClient(Protocol):
    """Connects a `SlowClient`, which is closed when the test ends."""

    async def __call__(self, url: str, *, receive_buffer: int | None = ...) -> SlowClient:
        """Connect to `url`, `http://HOST:PORT`; `receive_buffer` is in bytes."""
        ...


@pytest.fixture
def faulty_origin() -> Iterator[FaultyOrigin]:
    """A `FaultyOrigin` of the test's own."""
    from sluicegate.testing.origin import FaultyOrigin  # noqa: PLC0415 - see the top

    with FaultyOrigin() as origin:
        yield origin


@pytest.fixture
def faulty_tls_origin() -> Iterator[FaultyOrigin]:
    """A `FaultyOrigin` that serves HTTPS; `ca_file` is what to trust. It needs trustme."""
    from sluicegate.testing.origin import FaultyOrigin  # noqa: PLC0415 - see the top

    with FaultyOrigin(tls=True) as origin:
        yield origin


@pytest.fixture
def slow_client() -> Iterator[OpenSlowClient]:
    """Connects a `SlowClient`: `client = await slow_client(url, receive_buffer=4096)`."""
    from sluicegate.testing.slow_client import SlowClient  # noqa: PLC0415 - see the top

    opened: list[SlowClient] = []

    async def connect(url: str, *, receive_buffer: int | None = None) -> SlowClient:
        client = await SlowClient(url, receive_buffer=receive_buffer).connect()
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def assert_no_leak() -> type[AssertNoLeak]:
    """`assert_no_leak` of `sluicegate.testing`: `async with assert_no_leak(origin): ...`."""
    from sluicegate.testing.leaks import assert_no_leak as leaks  # noqa: PLC0415 - see the top

    return leaks
