"""Small bodies, in virtual time: one chunk, which is there as a whole before any of it goes on."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from sluicegate.errors import BadAnswer, SourceError, VersionChanged
from sluicegate.flow.options import TransferOptions
from sluicegate.flow.parted import PartedSource
from sluicegate.flow.small import SmallBody
from sluicegate.sources.base import SMALL, Body, Found, OpenRequest

from .faulty import Break, Event, FaultyMemory, Lengthen, Replace, content_of
from .virtual_time import NO_RETURN, run

CONTENT = content_of(SMALL)
T = TypeVar("T")


def origin(*events: Event, content: bytes = CONTENT) -> FaultyMemory:
    return FaultyMemory(content, events, chunk=10_000)


def with_body(source: FaultyMemory, use: Callable[[Body], Awaitable[T]]) -> T:
    """What `use` makes of the body of the whole object."""

    async def used() -> T:
        parted = PartedSource(source, TransferOptions(), memory=NO_RETURN)
        found = await parted.open("key", OpenRequest())
        assert isinstance(found, Found)
        try:
            return await use(found.body)
        finally:
            await found.body.aclose()

    return run(used())


async def two_reads(body: Body) -> tuple[bytes, bytes]:
    return bytes(await body.read()), bytes(await body.read())


async def kind(body: Body) -> type[Body]:
    return type(body)


def test_small_body_is_one_chunk_and_leaves_nothing_at_the_origin() -> None:
    source = origin()

    async def use(body: Body) -> tuple[bytes, int]:
        return bytes(await body.read()), source.open_bodies

    assert with_body(source, use) == (CONTENT, 0)


def test_nothing_follows() -> None:
    assert with_body(origin(), two_reads) == (CONTENT, b"")


@pytest.mark.parametrize(
    ("size", "is_small"),
    [
        pytest.param(1, True, id="byte"),
        pytest.param(SMALL, True, id="small"),
        pytest.param(SMALL + 1, False, id="more"),
    ],
)
def test_bodies_are_small_up_to_a_size(size: int, is_small: bool) -> None:
    assert (with_body(origin(content=content_of(size)), kind) is SmallBody) is is_small


def test_break_is_resumed_at_its_byte() -> None:
    source = origin(Break(25_000))
    assert with_body(source, two_reads) == (CONTENT, b"")
    assert source.asked == ["", "25000-65535"]


@pytest.mark.parametrize(
    ("events", "error"),
    [
        pytest.param((Break(25_000), Replace(content_of(SMALL, seed=1))), VersionChanged, id="replaced"),
        pytest.param((Lengthen(),), BadAnswer, id="longer-than-promised"),
    ],
)
def test_what_cannot_be_mended_fails_before_the_first_byte(
    events: tuple[Event, ...], error: type[SourceError]
) -> None:
    source = origin(*events)

    async def use(body: Body) -> None:
        with pytest.raises(error):
            await body.read()

    with_body(source, use)
    assert source.open_bodies == 0


def test_body_that_nobody_reads_is_closed() -> None:
    source = origin()

    async def use(body: Body) -> bytes:
        await body.aclose()
        return bytes(await body.read())

    assert with_body(source, use) == b""
    assert source.open_bodies == 0
