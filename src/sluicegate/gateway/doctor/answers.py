"""What to make of an origin's answers: ranges, conditions, validators. Pure."""

from __future__ import annotations

from typing import Final

from sluicegate import Found, SourceError
from sluicegate.errors import BadAnswer, Denied, NotFound
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag

from .findings import Finding, Findings, note, ok, problem, warning
from .probing import Answer, Served

_DISTRUST: Final = "do not serve from it before that is mended: what clients get may be wrong"
_LOG: Final = "look into the origin's log for that request, and try again"
_RANGES: Final = "switch ranges on at the origin, or take away the proxy that strips them"


def judge_head(head: Answer) -> Finding:
    """Whether a HEAD is answered."""
    match head:
        case Served(Found()):
            return ok("HEAD is answered")
        case BadAnswer():
            return note(f"HEAD is not answered ({head}): for each HEAD of a client a GET is begun")
        case NotFound() | Denied():
            return problem(
                f"the object cannot be read ({head})", "check its key, and that reading is allowed"
            )
        case _:
            return _unexpected("HEAD", head)


def judge_metadata(metadata: Metadata) -> Findings:
    """What the origin says of the object: size, tag, date."""
    return (
        _judge_size(metadata),
        _judge_etag(metadata.etag),
        ok("Last-Modified is told")
        if metadata.last_modified is not None
        else note("there is no Last-Modified: clients that know no ETag cannot ask whether it changed"),
    )


def _judge_size(metadata: Metadata) -> Finding:
    if metadata.size is not None:
        return ok(f"the size is told: {metadata.size} bytes")
    return warning(
        "the size is not told: clients see no progress, and cannot resume or seek",
        "let the origin send Content-Length instead of chunks",
    )


def _judge_etag(etag: ETag | None) -> Finding:
    if etag is None:
        return warning(
            "there is no ETag: a broken body is only resumed where Last-Modified can stand for it",
            "let the origin send an ETag that changes with the content",
        )
    if etag.weak:
        return warning(
            "the ETag is weak: a broken body is only resumed where Last-Modified can stand for it",
            "let the origin send strong ETags; compressing proxies make them weak",
        )
    return ok("the ETag is strong")


def judge_same_version(head: Metadata, get: Metadata) -> Finding | None:
    """Whether two answers speak of one version; `None` if they do."""
    if head.size is not None and get.size is not None and head.size != get.size:
        return problem(f"HEAD says {head.size} bytes, GET says {get.size}", _DISTRUST)
    if head.etag != get.etag:
        return warning(
            f"the ETag differs between two answers: {_tag(head.etag)}, then {_tag(get.etag)}",
            "let all servers behind the address make the tag of the content, not of inodes or times",
        )
    return None


def judge_range(answer: Answer, size: int | None) -> Finding:
    """Whether `bytes=0-0` is served as one byte."""
    match answer:
        case Served(Found(metadata, Span(0, 1)), 1) if size in (None, metadata.size):
            return ok("ranges are honoured")
        case Served(Found(metadata, Span(0, 1)), 1):
            return problem(f"a range says {metadata.size} bytes are the whole, HEAD says {size}", _DISTRUST)
        case Served(Found(_, None)):
            return warning("ranges are ignored: no seeking, no resuming, no read-ahead", _RANGES)
        case _:
            return _unexpected("bytes=0-0", answer)


def judge_suffix(answer: Answer, size: int) -> Finding:
    """Whether `bytes=-1` is served as the last byte."""
    match answer:
        case Served(Found(_, Span() as span), 1) if span == Span(size - 1, size):
            return ok("suffix ranges are honoured")
        case Served(Found(_, None)):
            return note("suffix ranges are ignored: clients that ask for the end get everything")
        case Served(Unsatisfiable()):
            return note("suffix ranges are refused: each costs two requests more, for the size and by it")
        case _:
            return _unexpected("bytes=-1", answer)


def judge_beyond(answer: Answer, size: int) -> Finding:
    """Whether a range behind the end is refused."""
    match answer:
        case Served(Unsatisfiable()):
            return ok("a range behind the end is refused (416)")
        case Served(Found(_, None)):
            return note("a range behind the end is answered by everything, instead of 416")
        case _:
            return _unexpected(f"bytes={size}- of {size} bytes", answer)


def judge_if_none_match(answer: Answer) -> Finding:
    """Whether `If-None-Match` with the object's tag is answered by 304."""
    match answer:
        case Served(NotModified()):
            return ok("If-None-Match is honoured (304)")
        case Served(Found()):
            return note(
                "If-None-Match is ignored: clients get their 304 even so, and the origin sends for nothing"
            )
        case _:
            return _unexpected("If-None-Match", answer)


def judge_if_match(answer: Answer) -> Finding:
    """Whether `If-Match` with another tag is answered by 412."""
    match answer:
        case Served(PreconditionFailed()):
            return ok("If-Match is honoured (412)")
        case Served(Found()):
            return note(
                "If-Match is ignored: resumed bodies are still guarded, by comparing the ETags of answers"
            )
        case _:
            return _unexpected("If-Match", answer)


def judge_missing(answer: Answer) -> Finding:
    """What is answered for a key that no object has."""
    match answer:
        case NotFound():
            return ok("a missing key is answered by 404")
        case Denied():
            return note(
                "a missing key is answered by 403: denied and missing cannot be told apart",
                "allow listing too (s3:ListBucket), and missing keys are answered by 404",
            )
        case Served(Found()):
            return problem("a key that nobody made is found: every key is answered by something", _DISTRUST)
        case _:
            return _unexpected("a missing key", answer)


def judge_digest(etag: ETag | None, digest: str) -> Finding:
    """Whether the tag is the MD5 of the content, as S3's is of objects that were put in one piece."""
    if etag is not None and etag.opaque.lower() == digest:
        return note("the ETag is the MD5 of the content: clients can check what they got by it")
    return note("the ETag is not the MD5 of the content: nothing can be checked by it")


def judge_length(size: int | None, length: int) -> Finding | None:
    """Whether all bytes came; `None` if they did."""
    if size is None or size == length:
        return None
    return problem(f"{length} bytes came of an object of {size}", _DISTRUST)


def judge_checksums(kinds: tuple[str, ...]) -> Finding:
    """Which checksums a store announces."""
    if kinds:
        return note(f"the store keeps a checksum of it: {', '.join(kinds)}")
    return note("the store announces no checksum of it (x-amz-checksum-*)")


def _tag(etag: ETag | None) -> str:
    return "none" if etag is None else str(etag)


def _unexpected(what: str, answer: Answer) -> Finding:
    if isinstance(answer, SourceError):
        return problem(f"{what} fails ({answer})", _LOG)
    return problem(f"{what} is answered by {_shown(answer)}", _DISTRUST)


def _shown(served: Served) -> str:
    match served.outcome:
        case Found(metadata, Span(start, stop)):
            return f"{served.length} bytes as {start}-{stop - 1} of {metadata.size}"
        case Found():
            return "everything"
        case Unsatisfiable():
            return "416"
        case PreconditionFailed():
            return "412"
        case NotModified():
            return "304"
