"""One server for all tests of this folder, and a source of each kind behind it."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

import pytest

from .service import KINDS, AppServer, Kind, Service, serving


class Serving(Protocol):
    """`serving` with the server and the kind of the test."""

    def __call__(self, *args: object, **kwargs: object) -> AbstractAsyncContextManager[Service]: ...


@pytest.fixture(scope="package")
def app_server() -> Iterator[AppServer]:
    """uvicorn, and every client library used once: runtimes keep what they make at their first use."""
    # uvicorn logs each cut with its traceback, which would hold what the cut let go of.
    logger = logging.getLogger("uvicorn.error")
    logger.disabled = True
    # Each test collects garbage, and need not look at everything that was imported.
    gc.collect()
    gc.freeze()
    try:
        with AppServer().running() as server:
            asyncio.run(_warm_up(server))
            yield server
    finally:
        gc.unfreeze()
        logger.disabled = False


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def served(app_server: AppServer, kind: Kind) -> Serving:
    return partial(serving, app_server, kind)


async def _warm_up(server: AppServer) -> None:
    for kind in KINDS:
        try:
            async with serving(server, kind) as service:
                await service.get()
        except AssertionError:
            # What is left now is there before each test.
            pass
