"""Sources are entered once, left once, and used between the two."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate import OpenRequest, Source, open_store
from sluicegate.sources.object_store import ObjectStore
from sluicegate.sources.opening import store_source
from sluicegate.sources.options import BadOptions
from sluicegate.testing import FaultyOrigin
from tests.sources.stores import KINDS, Kind, content_of, source_at

CONTENT = b"content"


@pytest.fixture(params=[*KINDS, "file", "folder"])
def make(request: pytest.FixtureRequest, faulty_origin: FaultyOrigin, tmp_path: Path) -> Callable[[], Source]:
    """What makes a source of each kind that holds `key`; `folder` is one that obstore reads."""
    faulty_origin.put("/bucket/key", CONTENT)
    (tmp_path / "key").write_bytes(CONTENT)
    match request.param:
        case "file":
            return lambda: store_source(tmp_path.as_uri())
        case "folder":
            return lambda: ObjectStore(tmp_path.as_uri())
        case kind:
            return lambda: source_at(kind, faulty_origin.url)


async def read(source: Source) -> bytes:
    return await content_of(await source.open("key", OpenRequest()))


async def test_source_that_is_open_cannot_be_entered_and_stays_open(make: Callable[[], Source]) -> None:
    source = make()
    async with source:
        with pytest.raises(RuntimeError, match=r"is already open: enter a source once"):
            await source.__aenter__()
        assert await read(source) == CONTENT


async def test_source_that_is_being_opened_cannot_be_entered(make: Callable[[], Source]) -> None:
    source = make()
    entered = await asyncio.gather(source.__aenter__(), source.__aenter__(), return_exceptions=True)
    try:
        assert [type(one) for one in entered] == [type(source), RuntimeError]
        assert await read(source) == CONTENT
    finally:
        await source.__aexit__(None, None, None)


async def test_source_that_was_left_is_entered_again(make: Callable[[], Source]) -> None:
    source = make()
    for _ in range(2):
        async with source:
            assert await read(source) == CONTENT
        with pytest.raises(RuntimeError, match="is not open"):
            await source.open("key", OpenRequest())


async def test_source_that_could_not_be_opened_can_be_when_that_is_mended(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    source = open_store(folder.as_uri())
    with pytest.raises(BadOptions, match="no folder"):
        await source.__aenter__()
    folder.mkdir()
    (folder / "key").write_bytes(CONTENT)
    async with source:
        assert await read(source) == CONTENT


def test_source_that_nobody_can_leave_any_more_is_entered_again(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(CONTENT)
    source = store_source(tmp_path.as_uri())

    async def whole() -> bytes:
        async with source:
            return await read(source)

    asyncio.run(source.__aenter__())  # type: ignore[arg-type]
    assert asyncio.run(whole()) == CONTENT


@pytest.mark.parametrize("kind", ["aiobotocore", "http"])
def test_source_with_connections_of_another_event_loop_says_so(
    kind: Kind, faulty_origin: FaultyOrigin
) -> None:
    source = source_at(kind, faulty_origin.url)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(source.__aenter__())
        with pytest.raises(RuntimeError, match="was opened in another event loop"):
            second.run(source.open("key", OpenRequest()))
        first.run(source.__aexit__(None, None, None))
    assert not faulty_origin.requests
