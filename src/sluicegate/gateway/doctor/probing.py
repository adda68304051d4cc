"""Asking an origin for an object in the ways that clients do, and keeping what it answered."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from sluicegate import Body, Found, OpenOutcome, OpenRequest, Source, SourceError
from sluicegate.http.conditions import Conditions
from sluicegate.http.ranges import FromTo, RangeSpec, Suffix
from sluicegate.http.validators import ETag, ETagList

OTHER_VERSION: Final = ETag("sluicegate-doctor-no-such-version")
"""A tag that no object has."""

SMALL_BYTES: Final = 8 * 1024 * 1024
"""The largest object that is read as a whole, to compare its content with its tag."""


@dataclass(frozen=True, slots=True)
class Served:
    """What an origin answered: the outcome, and how many bytes came of what it served."""

    outcome: OpenOutcome
    length: int = 0


Answer = Served | SourceError
"""What came of a request: a failure is an answer too."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An object to ask for: the source that it is read from, and its key there.

    `query` goes out behind the key. It may hold a secret, and is never shown.
    """

    source: Source
    key: str
    query: str = field(default="", repr=False)

    async def head(self) -> Answer:
        """Ask for the metadata alone."""
        return await self._asked(OpenRequest(head=True))

    async def ranged(self, spec: RangeSpec) -> Answer:
        """Ask for a range of few bytes."""
        return await self._asked(OpenRequest(range=spec))

    async def first_byte(self) -> Answer:
        """Ask for the first byte."""
        return await self.ranged(FromTo(0, 0))

    async def last_byte(self) -> Answer:
        """Ask for the last byte as a suffix."""
        return await self.ranged(Suffix(1))

    async def unless(self, etag: ETag) -> Answer:
        """Ask for the object unless it has this tag."""
        return await self._asked(OpenRequest(conditions=Conditions(if_none_match=_plain(etag))))

    async def if_other_version(self) -> Answer:
        """Ask for a version that there is not."""
        return await self._asked(OpenRequest(conditions=Conditions(if_match=_plain(OTHER_VERSION))))

    async def digest(self) -> tuple[str, int]:
        """The MD5 of the whole object, and its length; raises `SourceError`."""
        digest, length = hashlib.md5(usedforsecurity=False), 0
        async with opened(self, OpenRequest()) as outcome:
            if isinstance(outcome, Found):
                while length <= SMALL_BYTES and (chunk := await outcome.body.read()):
                    digest.update(chunk)
                    length += len(chunk)
        return digest.hexdigest(), length

    async def _asked(self, request: OpenRequest) -> Answer:
        try:
            async with opened(self, request) as outcome:
                # The whole object is nothing that anybody waits for here.
                if not isinstance(outcome, Found) or outcome.span is None:
                    return Served(outcome)
                return Served(outcome, await _length(outcome.body, outcome.span.length))
        except SourceError as exc:
            return exc


@asynccontextmanager
async def opened(subject: Subject, request: OpenRequest) -> AsyncIterator[OpenOutcome]:
    """The answer to a request; its body is closed when the block ends."""
    outcome = await subject.source.open(subject.key + subject.query, request)
    try:
        yield outcome
    finally:
        if isinstance(outcome, Found):
            await outcome.body.aclose()


async def _length(body: Body, promised: int) -> int:
    length = 0
    while length <= promised and (chunk := await body.read()):
        length += len(chunk)
    return length


def _plain(etag: ETag) -> ETagList:
    """A tag as it is sent to origins: stores disagree on weak ones."""
    return ETagList((ETag(etag.opaque),))
