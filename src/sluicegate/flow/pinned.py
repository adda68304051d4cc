"""One version of an object, of which any span can be had, or nothing: bytes of two versions never meet."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.errors import BadAnswer, NotFound, VersionChanged
from sluicegate.flow.answers import is_same_version
from sluicegate.flow.closing import close
from sluicegate.http.conditions import UNCONDITIONAL, Conditions, forwardable, pinned_to
from sluicegate.http.exchange import PreconditionFailed, Unsatisfiable
from sluicegate.http.fields import Fields
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span, exactly
from sluicegate.http.validators import is_strong_date
from sluicegate.sources.base import Body, Found, OpenOutcome, OpenRequest, Source
from sluicegate.sources.tally import Tally


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """The version of `key` that `metadata` describes. `fields` are the client's own, to be forwarded."""

    source: Source
    key: str
    metadata: Metadata
    fields: Fields
    tally: Tally

    async def open(self, span: Span, *, begun: bool = False) -> Body:
        """The bytes of `span` of this version. Whoever gets them closes them.

        `begun` says that the client has a part of its answer already.

        Raises `VersionChanged` if the object is another one by now, `BadAnswer` if the origin serves
        something else than it was asked for, and whatever the source raises.
        """
        request = OpenRequest(
            range=exactly(span),
            conditions=_pin(self.metadata),
            fields=self.fields,
            tally=self.tally,
            begun=begun,
        )
        try:
            outcome = await self.source.open(self.key, request)
        except NotFound as exc:
            raise VersionChanged(f"{self.key!r} has gone while it was being read") from exc
        if isinstance(outcome, Found) and self._is_right(outcome, span):
            return outcome.body
        if isinstance(outcome, Found):
            await close(outcome.body)
        raise self._mismatch(outcome, span)

    def _is_right(self, found: Found, span: Span) -> bool:
        served = Span(0, found.metadata.size or 0) if found.span is None else found.span
        return served == span and is_same_version(found.metadata, self.metadata)

    def _mismatch(self, outcome: OpenOutcome, span: Span) -> VersionChanged | BadAnswer:
        match outcome:
            case Found(metadata) if is_same_version(metadata, self.metadata):
                return BadAnswer(f"{self.key!r}: the origin served {outcome.span}, {span} was asked for")
            case Found() | PreconditionFailed() | Unsatisfiable():
                return VersionChanged(f"{self.key!r} became another object while it was being read")
            case _:
                return BadAnswer(f"{self.key!r}: the origin answered {outcome}, which nobody asked for")


def _pin(metadata: Metadata) -> Conditions:
    """The condition that only this version meets, as far as the origin can be asked for one.

    The answer is held against the version in any case; the condition saves the origin from sending another.
    """
    etag, modified = metadata.etag, metadata.last_modified
    if etag is not None and not etag.weak:
        return forwardable(pinned_to(etag))
    if modified is not None and is_strong_date(modified, metadata.answered):
        return Conditions(if_unmodified_since=modified)
    return UNCONDITIONAL
