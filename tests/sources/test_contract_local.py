"""The contract, held by the sources that need no server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import obstore
import pytest_asyncio

from sluicegate.sources.object_store import ObjectStore
from sluicegate.sources.opening import store_source
from sluicegate.testing import ScriptedSource, SourceContract, Subject, memory_source

NO_EMPTY_SEGMENTS = dict.fromkeys(
    ("empty-segment", "empty-segments", "leading-slash", "trailing-slash"),
    "obstore's paths have no empty segments, and only S3 has a way around that",
)


class TestScripted(SourceContract):
    @pytest_asyncio.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        async with ScriptedSource(chunk_size=100_000) as source:

            async def put(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
                source.put(key, content, content_type=content_type)

            yield Subject(source, put)
        assert source.open_bodies == 0


class TestMemory(SourceContract):
    cannot_hold: ClassVar = NO_EMPTY_SEGMENTS

    @pytest_asyncio.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        async with memory_source({}) as source:

            async def put(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
                attributes = {"Content-Type": content_type}
                await obstore.put_async(source.client, key, content, attributes=attributes)

            yield Subject(source, put)


class TestFile(SourceContract):
    cannot_hold: ClassVar = {
        **NO_EMPTY_SEGMENTS,
        "hash-and-number": "obstore keeps such names for uploads that are not finished",
    }

    @pytest_asyncio.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[Subject]:
        async with store_source(tmp_path.as_uri()) as source:
            assert isinstance(source, ObjectStore)

            async def put(key: str, content: bytes, content_type: str = "") -> None:
                await asyncio.to_thread(_write, tmp_path / key, content)

            yield Subject(source, put)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
