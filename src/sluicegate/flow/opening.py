"""What a client's request costs at the origin, and what its answer comes to.

The plain cases are one request. A second one is made only where the first left something open: the size
after an unsatisfiable range, the whole object after an `If-Range` that did not hold, several ranges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sluicegate.errors import BadAnswer
from sluicegate.flow.multipart import MultipartBody
from sluicegate.http.conditions import (
    UNCONDITIONAL,
    Conditions,
    Verdict,
    evaluate,
    forwardable,
    range_applies,
)
from sluicegate.http.exchange import (
    ClientRequest,
    Multiple,
    NotModified,
    Outcome,
    Overrides,
    Partial,
    PreconditionFailed,
    Unsatisfiable,
    Whole,
    content_type_for,
)
from sluicegate.http.fields import Fields
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import FromTo, RangeSpec, Span, exactly, select
from sluicegate.sources.base import Body, EmptyBody, Found, OpenOutcome, OpenRequest, Source


@dataclass(frozen=True, slots=True)
class Opened:
    """What to answer, and the body to send with it. Whoever gets it closes the body."""

    outcome: Outcome
    body: Body


NOTHING: Final = EmptyBody()


@dataclass(frozen=True, slots=True)
class Target:
    """One object of one source, and how to ask for it: `fields` are forwarded to origins that speak HTTP."""

    source: Source
    key: str
    fields: Fields = ()

    async def ask(
        self,
        *,
        head: bool = False,
        span: RangeSpec | None = None,
        conditions: Conditions = UNCONDITIONAL,
    ) -> OpenOutcome:
        """One request to the origin."""
        request = OpenRequest(head=head, range=span, conditions=forwardable(conditions), fields=self.fields)
        return await self.source.open(self.key, request)


async def open_object(target: Target, request: ClientRequest, overrides: Overrides, boundary: str) -> Opened:
    """Ask the origin for what `request` wants of `target`.

    `boundary` separates the parts if there are several. Raises `SourceError` for failures.
    """
    match request.ranges:
        case None:
            return await _open_whole(target, request)
        case (spec,):
            return await _open_one(target, request, spec)
        case specs:
            return await _open_several(target, request, specs, overrides, boundary)


async def _open_whole(target: Target, request: ClientRequest) -> Opened:
    outcome = await target.ask(head=request.head, conditions=request.conditions)
    if not isinstance(outcome, Found):
        return Opened(_verdict_of(outcome, request), NOTHING)
    if outcome.span not in (None, Span(0, outcome.metadata.size or 0)):
        await outcome.body.aclose()
        raise BadAnswer(f"{target.key!r}: the origin served {outcome.span}, the whole object was asked for")
    return await _settle(Opened(Whole(outcome.metadata), outcome.body), request, outcome.metadata)


async def _open_one(target: Target, request: ClientRequest, spec: RangeSpec) -> Opened:
    outcome = await target.ask(span=spec, conditions=request.conditions)
    match outcome:
        case Found(metadata, Span() as span, body):
            if not _is_asked_for(span, spec, metadata.size):
                await body.aclose()
                raise BadAnswer(f"{target.key!r}: the origin served {span}, bytes={spec} was asked for")
            settled = await _settle(Opened(Partial(metadata, span), body), request, metadata)
            if isinstance(settled.outcome, Partial) and not range_applies(request.if_range, metadata):
                await body.aclose()
                return await _open_whole(target, replace(request, ranges=None))
            return settled
        case Found(metadata, _, body):
            # The origin ignored the range, as it may.
            return await _settle(Opened(Whole(metadata), body), request, metadata)
        case Unsatisfiable(int(size)) if size > 0 and _is_settled(request):
            return Opened(Unsatisfiable(size), NOTHING)
        case Unsatisfiable():
            return await _open_unsatisfied(target, request, spec)
        case other:
            return Opened(_verdict_of(other, request), NOTHING)


async def _open_unsatisfied(target: Target, request: ClientRequest, spec: RangeSpec) -> Opened:
    """Say why a range was refused: the object is too short, or empty, or another version is meant."""
    probe = await target.ask(head=True, conditions=request.conditions)
    if not isinstance(probe, Found):
        return Opened(_verdict_of(probe, request), NOTHING)
    metadata = probe.metadata
    settled = await _settle(Opened(Unsatisfiable(metadata.size), NOTHING), request, metadata)
    if not isinstance(settled.outcome, Unsatisfiable):
        return settled
    if not range_applies(request.if_range, metadata) or (
        metadata.size is not None and select((spec,), metadata.size) is None
    ):
        return await _open_whole(target, replace(request, ranges=None))
    return settled


async def _open_several(
    target: Target,
    request: ClientRequest,
    specs: tuple[RangeSpec, ...],
    overrides: Overrides,
    boundary: str,
) -> Opened:
    """Several ranges: the size first, since what they come to depends on it, then one request a span."""
    probe = await target.ask(head=True, conditions=request.conditions)
    if not isinstance(probe, Found):
        return Opened(_verdict_of(probe, request), NOTHING)
    metadata = probe.metadata
    settled = await _settle(Opened(Whole(metadata), NOTHING), request, metadata)
    if not isinstance(settled.outcome, Whole):
        return settled
    alone = replace(request, ranges=None)
    if metadata.size is None or not metadata.ranges or not range_applies(request.if_range, metadata):
        return await _open_whole(target, alone)
    match select(specs, metadata.size):
        case None:
            return await _open_whole(target, alone)
        case ():
            return Opened(Unsatisfiable(metadata.size), NOTHING)
        case (span,):
            return await _open_one(target, request, exactly(span))
        case spans:
            kind = content_type_for(metadata, overrides)
            multipart = Multipart(spans, metadata.size, boundary, kind)
            body = MultipartBody(target.source, target.key, metadata, multipart, target.fields)
            return Opened(Multiple(metadata, multipart), body)


async def _settle(opened: Opened, request: ClientRequest, metadata: Metadata) -> Opened:
    """`opened`, unless the request's conditions say otherwise of this version."""
    match evaluate(request.conditions, metadata):
        case Verdict.PROCEED:
            return opened
        case Verdict.NOT_MODIFIED:
            await opened.body.aclose()
            return Opened(NotModified(metadata), NOTHING)
        case Verdict.FAILED:
            await opened.body.aclose()
            return Opened(PreconditionFailed(), NOTHING)


def _verdict_of(outcome: OpenOutcome, request: ClientRequest) -> Outcome:
    """An answer without a body, as the origin gave it: what it knew of the conditions counts."""
    match outcome:
        case NotModified(metadata) if evaluate(request.conditions, metadata) is Verdict.FAILED:
            return PreconditionFailed()
        case NotModified() | PreconditionFailed() if request.conditions:
            return outcome
        case _:
            raise BadAnswer(f"the origin answered {outcome} where nothing of the kind was asked for")


def _is_settled(request: ClientRequest) -> bool:
    """Whether the origin has seen every condition, so that nothing is left to look at the object for."""
    return request.if_range is None and forwardable(request.conditions) == request.conditions


def _is_asked_for(span: Span, spec: RangeSpec, size: int | None) -> bool:
    if size is not None:
        return spec.resolve(size) == span
    if isinstance(spec, FromTo):
        return spec.first == span.start and (spec.last is None or span.stop <= spec.last + 1)
    return span.length <= spec.length
