"""A real object store that holds a few objects, for tests of what is built on one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import obstore

from sluicegate.errors import InvalidKey
from sluicegate.http.media_types import media_type_of
from sluicegate.sources.base import check_key
from sluicegate.sources.object_store import ObjectStore


@asynccontextmanager
async def memory_source(objects: Mapping[str, bytes]) -> AsyncIterator[ObjectStore]:
    """A source on `memory://` that holds `objects`, open until the block ends.

    The type of an object comes from its key. More objects go in through `source.client`, obstore's own
    store: `await obstore.put_async(source.client, "key", b"...")`. Raises `InvalidKey` for keys that it
    cannot hold: those that nothing can, and those with empty segments (`a//b`, `/a`, `a/`).
    """
    async with ObjectStore("memory://") as source:
        for key, content in objects.items():
            await _put(source, check_key(key), content)
        yield source


async def _put(source: ObjectStore, key: str, content: bytes) -> None:
    # obstore would take some of these for the key without the empty segment.
    if "" in key.split("/"):
        raise InvalidKey(f"memory:// cannot hold keys with empty segments, such as {key!r}")
    try:
        attributes = {"Content-Type": media_type_of(key)}
        await obstore.put_async(source.client, key, content, attributes=attributes)
    except ValueError as exc:
        raise InvalidKey(f"memory:// cannot hold {key!r}") from exc
