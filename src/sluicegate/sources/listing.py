"""The first objects of a store: for whoever needs some object, and knows no key.

Not a part of the contract of sources: nothing that is served depends on what may be listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sluicegate.errors import BadAnswer, SourceError
from sluicegate.sources.options import DEFAULT_OPTIONS, StoreOptions, check_count, check_kind

if TYPE_CHECKING:
    from sluicegate.sources.object_store import ObjectStore

DEFAULT_LIMIT: Final = 1000
"""Objects that are looked at: what every store lists in one request."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a listing: its key, without the prefix of the store's URL, and its size in bytes."""

    key: str
    size: int


async def some_objects(
    url: str, options: StoreOptions = DEFAULT_OPTIONS, limit: int = DEFAULT_LIMIT
) -> tuple[Listed, ...]:
    """The first `limit` objects below `url`, in the order of the store, or all if there are fewer.

    `url` is as for `open_store`, and so is what its prefix means; whatever client serves a store, obstore
    lists it. Raises `SourceError` where listing fails, `Denied` where it is not allowed, and `BadOptions` for
    what cannot be used.
    """
    check_kind("options", options, StoreOptions)
    check_count("limit", limit, 1)
    # Here: who imports a public name does not want a client library with it.
    from sluicegate.sources.object_store import OBSTORE_ERRORS, ObjectStore  # noqa: PLC0415

    async with ObjectStore(url, options) as source:
        try:
            return await _listed(source, limit)
        except OBSTORE_ERRORS as exc:
            raise _failure(exc, f"listing {source.location}") from exc


async def _listed(source: ObjectStore, limit: int) -> tuple[Listed, ...]:
    import obstore  # noqa: PLC0415

    prefix = source.location.prefix
    found: list[Listed] = []
    # The next page is asked for when it is read: what lies behind the limit never is.
    async for page in obstore.list(source.client, prefix or None, chunk_size=min(limit, DEFAULT_LIMIT)):
        found += (Listed(meta["path"].removeprefix(prefix), meta["size"]) for meta in page)
        if len(found) >= limit:
            break
    return tuple(found[:limit])


def _failure(exc: Exception, what: str) -> SourceError:
    from sluicegate.sources.object_store import translate  # noqa: PLC0415

    answered = translate(exc, what)
    return answered if isinstance(answered, SourceError) else BadAnswer(f"{what}: 416")
