"""Bodies in parts keep the contract of sources: around a script, and as applications open them."""

from collections.abc import AsyncIterator
from typing import ClassVar

import obstore
import pytest_asyncio

from sluicegate import PartedSource, TransferOptions, open_store
from sluicegate.flow.options import MIN_PART
from sluicegate.sources.object_store import ObjectStore
from sluicegate.testing import ScriptedSource, SourceContract, Subject

SMALL_PARTS = TransferOptions(part_size=MIN_PART, read_ahead=4 * MIN_PART)


class TestScriptedInParts(SourceContract):
    @pytest_asyncio.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        scripted = ScriptedSource(chunk_size=100_000)
        async with PartedSource(scripted, SMALL_PARTS) as source:

            async def put(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
                scripted.put(key, content, content_type=content_type)

            yield Subject(source, put)
        assert scripted.open_bodies == 0


class TestMemoryAsOpened(SourceContract):
    cannot_hold: ClassVar = dict.fromkeys(
        ("empty-segment", "empty-segments", "leading-slash", "trailing-slash"),
        "obstore's paths have no empty segments, and only S3 has a way around that",
    )

    @pytest_asyncio.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        async with open_store("memory://", transfers=SMALL_PARTS) as source:
            assert isinstance(source, PartedSource)
            store = source.source
            assert isinstance(store, ObjectStore)

            async def put(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
                attributes = {"Content-Type": content_type}
                await obstore.put_async(store.client, key, content, attributes=attributes)

            yield Subject(source, put)
