"""Everything that is asked about one object, and what comes of it."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from sluicegate import Found, SourceError
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, Span

from .answers import (
    judge_beyond,
    judge_digest,
    judge_head,
    judge_if_match,
    judge_if_none_match,
    judge_length,
    judge_metadata,
    judge_range,
    judge_same_version,
    judge_suffix,
)
from .findings import Finding, Findings, note, problem
from .limits import CHECK_SECONDS, within_limit
from .probing import SMALL_BYTES, Answer, Served, Subject
from .speed import (
    LEAST_BYTES,
    first_byte_seconds,
    judge_first_byte,
    judge_speed,
    speed_of_eight,
    speed_of_one,
)

_ENOUGH: Final = 2
"""Bytes that an object needs, so that its first one is not all of it."""


async def examine_object(
    subject: Subject, read_ahead: int | None, seconds: float = CHECK_SECONDS
) -> Findings:
    """Ask for the object in every way. `read_ahead` is what is configured, `None` where it has no part.

    Each request may take `seconds`.
    """
    examination = _Examination(subject, seconds)
    head = await examination.answer(subject.head())
    first = await examination.answer(subject.first_byte())
    metadata = _known(head, first)
    if metadata is None:
        return (judge_head(head), judge_range(first, None))
    return (
        judge_head(head),
        *judge_metadata(metadata),
        *_compared(head, first),
        *await examination.ranges(first, metadata.size),
        *await examination.conditions(metadata),
        *await examination.content(metadata),
        *await examination.first_byte(),
        *await examination.speeds(first, metadata.size, read_ahead),
    )


class _Examination:
    """The requests about one object, each within its time."""

    def __init__(self, subject: Subject, seconds: float) -> None:
        self._subject = subject
        self._seconds = seconds

    async def answer(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        """What is answered; that nothing is, is an answer too."""
        return await within_limit(repr(self._subject.key), asked, self._seconds)

    async def ranges(self, first: Answer, size: int | None) -> Findings:
        if size is not None and size < _ENOUGH:
            return (note("the object is too small to ask for ranges of it", "name a larger one"),)
        honoured = judge_range(first, size)
        if size is None or not _is_ranged(first):
            return (honoured,)
        suffix = judge_suffix(await self.answer(self._subject.last_byte()), size)
        beyond = judge_beyond(await self.answer(self._subject.ranged(FromTo(size))), size)
        return (honoured, suffix, beyond)

    async def conditions(self, metadata: Metadata) -> Findings:
        other = judge_if_match(await self.answer(self._subject.if_other_version()))
        if metadata.etag is None:
            return (other,)
        return (other, judge_if_none_match(await self.answer(self._subject.unless(metadata.etag))))

    async def content(self, metadata: Metadata) -> Findings:
        """Read a small object as a whole."""
        if metadata.size is None or metadata.size > SMALL_BYTES:
            return ()
        read = await within_limit(repr(self._subject.key), self._subject.digest(), self._seconds)
        if isinstance(read, SourceError):
            return (_failed("reading all of it", read),)
        digest, length = read
        short = judge_length(metadata.size, length)
        return (judge_digest(metadata.etag, digest) if short is None else short,)

    async def first_byte(self) -> Findings:
        measured = await within_limit(
            repr(self._subject.key), first_byte_seconds(self._subject), self._seconds
        )
        if isinstance(measured, SourceError):
            return (_failed("the first byte", measured),)
        return (judge_first_byte(measured),)

    async def speeds(self, first: Answer, size: int | None, read_ahead: int | None) -> Findings:
        if read_ahead is None or not _is_ranged(first):
            return ()
        if size is None or size < LEAST_BYTES:
            return (note("the object is too small to measure speeds with", "name one of 1 MiB or more"),)
        one = await speed_of_one(self._subject, size)
        return (judge_speed(one, await speed_of_eight(self._subject, size), read_ahead),)


def _known(head: Answer, first: Answer) -> Metadata | None:
    """What the two answers tell of the object."""
    one, other = _metadata(head), _metadata(first)
    if one is None or other is None:
        return one or other
    return one if one.size is not None else replace(one, size=other.size)


def _compared(head: Answer, first: Answer) -> Findings:
    one, other = _metadata(head), _metadata(first)
    found: Finding | None = None if one is None or other is None else judge_same_version(one, other)
    return () if found is None else (found,)


def _metadata(answer: Answer) -> Metadata | None:
    return (
        answer.outcome.metadata if isinstance(answer, Served) and isinstance(answer.outcome, Found) else None
    )


def _is_ranged(first: Answer) -> bool:
    match first:
        case Served(Found(_, Span())):
            return True
        case _:
            return False


def _failed(what: str, error: SourceError) -> Finding:
    return problem(f"{what} fails ({error})", "look into the origin's log for that request, and try again")
