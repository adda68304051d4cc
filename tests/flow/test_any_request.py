"""Whatever a client asks for: the bytes that it gets are those that the answer says they are."""

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import BadAnswer, VersionChanged
from sluicegate.http.conditions import Verdict, evaluate, range_applies
from sluicegate.http.exchange import (
    ClientRequest,
    Multiple,
    NotModified,
    Outcome,
    Partial,
    PreconditionFailed,
    Unsatisfiable,
    Whole,
    answer,
    read_request,
)
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import select
from sluicegate.http.validators import format_date

from .asking import EDGE, drained, open_at, parts_of, told
from .fakes import (
    MODIFIED,
    described,
    origin_of,
    refusing_before_conditions,
    refusing_suffixes,
    refusing_without_size,
    replaced_after,
)

RANGES = st.one_of(
    st.binary(max_size=20).map(lambda raw: raw.decode("latin-1")),
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 250), st.integers(0, 250)).map(lambda pair: f"{min(pair)}-{max(pair)}"),
            st.integers(0, 250).map(lambda first: f"{first}-"),
            st.integers(0, 250).map(lambda length: f"-{length}"),
        ),
        min_size=1,
        max_size=4,
    ).map(lambda specs: "bytes=" + ",".join(specs)),
)
VALIDATORS = st.sampled_from(['"v1"', '"v0"', 'W/"v1"', "*", '"v0", "v1"', "garbage", ""])
DATES = st.sampled_from([format_date(MODIFIED.replace(year=year)) for year in (2023, 2024, 2025)] + ["now"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "range": RANGES,
        "if-range": VALIDATORS | DATES,
        "if-match": VALIDATORS,
        "if-none-match": VALIDATORS,
        "if-modified-since": DATES,
        "if-unmodified-since": DATES,
    },
)
CONTENTS = st.binary(max_size=200)
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD"])


def due(request: ClientRequest, metadata: Metadata, size: int) -> Outcome:
    """What HTTP has for `request`, if the origin does everything that it can."""
    verdict = evaluate(request.conditions, metadata)
    if verdict is not Verdict.PROCEED:
        return NotModified(metadata) if verdict is Verdict.NOT_MODIFIED else PreconditionFailed()
    spans = (
        select(request.ranges, size) if request.ranges and range_applies(request.if_range, metadata) else None
    )
    match spans:
        case None:
            return Whole(metadata)
        case ():
            return Unsatisfiable(size)
        case (span,):
            return Partial(metadata, span)
        case spans:
            return Multiple(metadata, Multipart(spans, size, EDGE, "text/plain"))


def bytes_due(outcome: Outcome, content: bytes, served: bytes) -> bytes:
    """The bytes of `content` that `outcome` claims to be `served`."""
    match outcome:
        case Whole():
            return content
        case Partial(_, span):
            return content[span.start : span.stop]
        case Multiple(_, multipart):
            assert parts_of(served) == [(span, content[span.start : span.stop]) for span in multipart.spans]
            return served
        case _:
            return b""


@given(CONTENTS, FIELDS, METHODS)
async def test_bytes_served_are_what_the_answer_says(
    content: bytes, fields: dict[str, str], method: str
) -> None:
    origin = origin_of(content)
    came = await told(origin, fields, method)
    request = read_request(method, fields)
    assert came.outcome == due(request, origin.metadata, len(content))
    if not request.head:
        assert came.content == bytes_due(came.outcome, content, came.content)
        assert answer(came.outcome).length == len(came.content)


@given(CONTENTS, FIELDS, METHODS)
async def test_request_that_leaves_nothing_open_is_one_request(
    content: bytes, fields: dict[str, str], method: str
) -> None:
    origin = origin_of(content)
    request = read_request(method, fields)
    came = await told(origin, fields, method)
    if request.ranges is None or (len(request.ranges) == 1 and isinstance(came.outcome, Partial)):
        assert [asked.head for asked in origin.requests] == [request.head]
    assert len(came.asked) <= 2 + len(request.ranges or ())


@given(CONTENTS, FIELDS)
async def test_origin_that_refuses_too_much_changes_no_answer(content: bytes, fields: dict[str, str]) -> None:
    request = read_request("GET", fields)
    for behaviour in (refusing_suffixes, refusing_without_size, refusing_before_conditions):
        origin = origin_of(content, behaviour)
        assert (await told(origin, fields)).outcome == due(request, origin.metadata, len(content))


@given(CONTENTS, CONTENTS, FIELDS, st.integers(1, 3))
async def test_no_answer_mixes_two_versions(
    old: bytes, new: bytes, fields: dict[str, str], count: int
) -> None:
    origin = origin_of(old, replaced_after(count, new))
    opened = await open_at(origin, fields)
    try:
        served = await drained(opened.body)
    except (BadAnswer, VersionChanged):
        # The object changed after the first part was sent: nothing but breaking off is left.
        assert isinstance(opened.outcome, Multiple)
        await opened.body.aclose()
    else:
        version = getattr(opened.outcome, "metadata", None)
        assert served == bytes_due(opened.outcome, old if version == described(old) else new, served)
    assert origin.closed == [1] * len(origin.bodies)
