"""A real store in memory for users' tests."""

import obstore
import pytest

from sluicegate import Found, OpenRequest
from sluicegate.errors import InvalidKey, NotFound
from sluicegate.testing import memory_source


async def test_it_holds_what_it_is_given() -> None:
    async with memory_source({"test/1/image.jpg": b"content", "ü b+.txt": b""}) as source:
        outcome = await source.open("test/1/image.jpg", OpenRequest())
        assert isinstance(outcome, Found)
        assert outcome.metadata.content_type == "image/jpeg"
        assert await outcome.body.read() == b"content"
        empty = await source.open("ü b+.txt", OpenRequest())
        assert isinstance(empty, Found)
        assert empty.metadata.size == 0
        with pytest.raises(NotFound):
            await source.open("missing", OpenRequest())


async def test_more_goes_in_through_the_client() -> None:
    async with memory_source({}) as source:
        await obstore.put_async(source.client, "key", b"content")
        assert isinstance(await source.open("key", OpenRequest()), Found)


async def test_two_share_nothing() -> None:
    async with memory_source({"key": b"content"}), memory_source({}) as other:
        with pytest.raises(NotFound):
            await other.open("key", OpenRequest())


@pytest.mark.parametrize("key", ["", "a//b", "/a", "a/", "a/../b", "a\nb", "\ud800"])
async def test_key_that_it_cannot_hold_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey):
        async with memory_source({key: b"content"}):
            pass


async def test_it_is_closed_at_the_end() -> None:
    async with memory_source({"key": b"content"}) as source:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        await source.open("key", OpenRequest())
