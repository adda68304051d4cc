"""What a client's request costs at the origin, and what its answer comes to.

The plain cases are one request. Another one is made only where the first left something open: the size after
a range that was refused, the whole object after an `If-Range` that did not hold, several ranges, an answer
that cannot be meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from sluicegate.errors import BadAnswer, VersionChanged
from sluicegate.flow.answers import is_asked_for, is_credible, is_pinnable, is_same_version
from sluicegate.flow.closing import close
from sluicegate.flow.multipart import MultipartBody
from sluicegate.flow.pinned import PinnedObject
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
from sluicegate.http.ranges import RangeSpec, Span, exactly, select
from sluicegate.sources.base import Body, EmptyBody, Found, OpenOutcome, OpenRequest, Source
from sluicegate.sources.tally import Tally


@dataclass(frozen=True, slots=True)
class Opened:
    """What to answer, and the body to send with it. Whoever gets it closes the body."""

    outcome: Outcome
    body: Body


NOTHING: Final = EmptyBody()


@dataclass(frozen=True, slots=True)
class Target:
    """One object of one source, and how to ask for it: `fields` are forwarded to origins that speak HTTP.

    `tally` is the account of the response that it is asked for.
    """

    source: Source
    key: str
    fields: Fields = ()
    tally: Tally = field(default_factory=Tally)

    async def ask(
        self,
        *,
        head: bool = False,
        span: RangeSpec | None = None,
        conditions: Conditions = UNCONDITIONAL,
    ) -> OpenOutcome:
        """One request to the origin; a second one, without conditions, if its verdict cannot be meant.

        Raises `BadAnswer` if what comes cannot be meant even so.
        """
        request = OpenRequest(
            head=head,
            range=span,
            conditions=forwardable(conditions),
            fields=self.fields,
            tally=self.tally,
        )
        outcome = await self.source.open(self.key, request)
        if request.conditions and not is_credible(outcome, request):
            request = replace(request, conditions=UNCONDITIONAL)
            outcome = await self.source.open(self.key, request)
        if not is_credible(outcome, request):
            raise BadAnswer(f"{self.key!r}: the origin answered {outcome}, which nobody asked for")
        return outcome


async def open_object(target: Target, request: ClientRequest, overrides: Overrides, boundary: str) -> Opened:
    """Ask the origin for what `request` wants of `target`.

    `boundary` separates the parts if there are several. Raises `SourceError` for failures.
    """
    match request.ranges:
        case None if request.head:
            return await _open_head(target, request)
        case None:
            return await _open_whole(target, request)
        case (spec,):
            return await _open_one(target, request, spec)
        case specs:
            return await _open_several(target, request, specs, overrides, boundary)


async def _open_head(target: Target, request: ClientRequest) -> Opened:
    try:
        return await _open_whole(target, request, head=True)
    except BadAnswer:
        # Many services answer GET and nothing else: 405 to a HEAD says nothing of the object.
        opened = await _open_whole(target, request)
        await close(opened.body)
        return Opened(opened.outcome, NOTHING)


async def _open_whole(target: Target, request: ClientRequest, *, head: bool = False) -> Opened:
    """Everything, whatever the range. It is a right answer to every request that asks for ranges."""
    outcome = await target.ask(head=head, conditions=request.conditions)
    if not isinstance(outcome, Found):
        return Opened(_verdict_of(outcome, request), NOTHING)
    if outcome.span not in (None, Span(0, outcome.metadata.size or 0)):
        await close(outcome.body)
        raise BadAnswer(f"{target.key!r}: the origin served {outcome.span}, the whole object was asked for")
    return await _settle(Opened(Whole(outcome.metadata), outcome.body), request, outcome.metadata)


async def _open_one(target: Target, request: ClientRequest, spec: RangeSpec) -> Opened:
    outcome = await target.ask(span=spec, conditions=request.conditions)
    match outcome:
        case Found(metadata, None, body):
            # The origin ignored the range, as it may.
            return await _settle(Opened(_everything_for(spec, request, metadata), body), request, metadata)
        case Found(metadata, Span() as span, body) if is_asked_for(span, spec, metadata.size):
            settled = await _settle(Opened(Partial(metadata, span), body), request, metadata)
            if isinstance(settled.outcome, Partial) and not range_applies(request.if_range, metadata):
                await close(body)
                return await _open_whole(target, request)
            return settled
        case Found(_, span, body):
            await close(body)
            raise BadAnswer(f"{target.key!r}: the origin served {span}, bytes={spec} was asked for")
        case Unsatisfiable(size):
            return await _open_refused(target, request, spec, size)
        case verdict:
            return Opened(_verdict_of(verdict, request), NOTHING)


async def _open_refused(
    target: Target, request: ClientRequest, spec: RangeSpec, refused_size: int | None
) -> Opened:
    """Find out why the origin refused `spec`, and what is the answer then.

    The object may be too short, or empty; the client may mean another version of it; or the origin refuses
    what it should serve: some do so with suffixes, or with those that are longer than the object.
    """
    is_unconditional = request.if_range is None and not request.conditions
    if refused_size is not None:
        match select((spec,), refused_size):
            case None:
                return await _open_whole(target, request)
            case () if is_unconditional:
                return Opened(Unsatisfiable(refused_size), NOTHING)
    try:
        probed = await _probe(target, request)
    except BadAnswer:
        # As in _open_head. The refusal is all there is, if it cannot be about anything else.
        if is_unconditional:
            return Opened(Unsatisfiable(refused_size), NOTHING)
        return await _open_whole(target, request)
    if isinstance(probed, Opened):
        return probed
    if not range_applies(request.if_range, probed):
        return await _open_whole(target, request)
    size = refused_size if probed.size is None else probed.size
    match () if size is None else select((spec,), size):
        case None:
            return await _open_whole(target, request)
        case (span,):
            return await _open_span(target, request, probed, span)
        case _:
            return Opened(Unsatisfiable(size), NOTHING)


async def _open_several(
    target: Target,
    request: ClientRequest,
    specs: tuple[RangeSpec, ...],
    overrides: Overrides,
    boundary: str,
) -> Opened:
    """Several ranges: the size first, since what they come to depends on it, then one request a span."""
    try:
        probed = await _probe(target, request)
    except BadAnswer:
        # As in _open_head. Without the size nothing can be said of ranges.
        return await _open_whole(target, request)
    if isinstance(probed, Opened):
        return probed
    if probed.size is None or not probed.ranges or not range_applies(request.if_range, probed):
        return await _open_whole(target, request)
    match select(specs, probed.size):
        case ():
            return Opened(Unsatisfiable(probed.size), NOTHING)
        case (span,):
            return await _open_span(target, request, probed, span)
        case tuple(spans) if is_pinnable(probed):
            multipart = Multipart(spans, probed.size, boundary, content_type_for(probed, overrides))
            return await _open_spans(target, request, probed, multipart)
        case _:
            return await _open_whole(target, request)


async def _probe(target: Target, request: ClientRequest) -> Metadata | Opened:
    """The metadata of the version that the conditions let through, or else the answer."""
    outcome = await target.ask(head=True, conditions=request.conditions)
    if not isinstance(outcome, Found):
        return Opened(_verdict_of(outcome, request), NOTHING)
    await close(outcome.body)
    settled = await _settle(Opened(Whole(outcome.metadata), NOTHING), request, outcome.metadata)
    return outcome.metadata if isinstance(settled.outcome, Whole) else settled


async def _open_span(target: Target, request: ClientRequest, probed: Metadata, span: Span) -> Opened:
    """One span that was found in the version `probed`, which the conditions let through."""
    match await target.ask(span=exactly(span)):
        case Found(metadata, served, body) if served == span and is_same_version(metadata, probed):
            return Opened(Partial(metadata, span), body)
        case Found(metadata, None, body):
            return await _settle(Opened(Whole(metadata), body), request, metadata)
        case Found(_, _, body):
            await close(body)
    # Another version by now, or an origin that does not serve what it has.
    return await _open_whole(target, request)


async def _open_spans(
    target: Target, request: ClientRequest, probed: Metadata, multipart: Multipart
) -> Opened:
    """Several spans of the version `probed`, which the conditions let through."""
    version = PinnedObject(target.source, target.key, probed, target.fields, target.tally)
    body = MultipartBody(version, multipart)
    try:
        await body.begin()
    except (BadAnswer, VersionChanged):
        # Another version by now, or an origin that does not do what its metadata say.
        await close(body)
        return await _open_whole(target, request)
    return Opened(Multiple(probed, multipart), body)


def _everything_for(spec: RangeSpec, request: ClientRequest, metadata: Metadata) -> Whole | Unsatisfiable:
    """What it comes to that a source served the whole object where `spec` was asked for.

    A range behind the beginning of an empty object is refused even so: sources serve such an object whole, or
    refuse all ranges of it, and clients should not have to know which.
    """
    is_refused = metadata.size == 0 and metadata.ranges and range_applies(request.if_range, metadata)
    return Unsatisfiable(0) if is_refused and select((spec,), 0) == () else Whole(metadata)


async def _settle(opened: Opened, request: ClientRequest, metadata: Metadata) -> Opened:
    """`opened`, unless the request's conditions say otherwise of this version."""
    outcome = opened.outcome
    match evaluate(request.conditions, metadata):
        case Verdict.NOT_MODIFIED:
            outcome = NotModified(metadata)
        case Verdict.FAILED:
            outcome = PreconditionFailed()
    if isinstance(outcome, Whole | Partial):
        return Opened(outcome, opened.body)
    await close(opened.body)
    return Opened(outcome, NOTHING)


def _verdict_of(outcome: NotModified | PreconditionFailed | Unsatisfiable, request: ClientRequest) -> Outcome:
    """An answer without a body, as the origin gave it, which has not seen every condition."""
    if isinstance(outcome, NotModified) and evaluate(request.conditions, outcome.metadata) is Verdict.FAILED:
        return PreconditionFailed()
    return outcome
