"""What OpenAPI says of a route that answers with an object: statuses, fields and problem details. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"

PROBLEM_SCHEMA: Final[Mapping[str, object]] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "What went wrong, in a few words."},
        "status": {"type": "integer", "description": "The status code of this answer."},
        "detail": {"type": "string", "description": "What to know about this one request."},
        "request_id": {"type": "string", "description": "Names this request in the server's log."},
    },
    "required": ["title", "status", "request_id"],
}
"""The schema of every answer that says what went wrong."""

REQUEST_FIELDS: Final[Mapping[str, str]] = {
    "Range": "The bytes that are wanted, such as `bytes=0-1023`; one range or several.",
    "If-Range": "Serve the range only if the object is still this one (a strong ETag or a date).",
    "If-None-Match": "Answer 304 if the object is one of these ETags.",
    "If-Modified-Since": "Answer 304 if the object has not changed since this date.",
    "If-Match": "Answer 412 unless the object is one of these ETags.",
    "If-Unmodified-Since": "Answer 412 if the object has changed since this date.",
}
"""Request header fields that such a route understands, and what each is for."""

_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "Accept-Ranges": ("string", "`bytes`, where ranges can be asked for."),
    "Allow": ("string", "The methods that are answered."),
    "Content-Length": ("integer", "The length of the content in bytes, where it is known."),
    "Content-Range": ("string", "Which bytes of the object these are, and its size."),
    "ETag": ("string", "The version of the object."),
    "Last-Modified": ("string", "When the object was last changed."),
    "RateLimit": ("string", "How many more requests are allowed, and when there will be more."),
    "RateLimit-Policy": ("string", "How many requests are allowed, and in which time."),
    "Retry-After": ("integer", "Seconds to wait before asking again."),
    "Set-Cookie": ("string", "What to send with further requests below the same path."),
    "WWW-Authenticate": ("string", "Which credentials would help (RFC 9110)."),
    "X-Request-Id": (
        "string",
        "Names this request in the server's log: the client's own, if it is harmless.",
    ),
}

_VERSION_FIELDS = ("ETag", "Last-Modified")
_CONTENT_FIELDS = ("Accept-Ranges", "Content-Length", *_VERSION_FIELDS)

_PROBLEMS: Final[Mapping[int, str]] = {
    404: "No such object.",
    412: "The object is not the one that `If-Match` or `If-Unmodified-Since` asks for.",
    416: "No range asked for lies in the object.",
    502: "The origin cannot be reached, or failed.",
    503: "The origin or this server is busy; try again later.",
    504: "The origin did not answer in time.",
}


def object_responses(media_type: str | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the description of every answer of a route that serves an object, by status.

    `media_type` is that of the object; None for any. The table is of the type of FastAPI's `responses=`, and
    made anew for each call. It says nothing of path parameters: what refuses those describes its own answer.
    """
    binary: dict[str, object] = {"schema": {"type": "string", "format": "binary"}}
    content = {media_type or "*/*": binary}
    several = {"multipart/byteranges": binary}
    responses: dict[int | str, dict[str, Any]] = {
        200: _response("The whole object.", content, *_CONTENT_FIELDS),
        206: _response("The ranges asked for.", {**content, **several}, "Content-Range", *_CONTENT_FIELDS),
        304: _response("The client's copy is current.", None, *_VERSION_FIELDS),
    }
    responses |= {status: problem_response(description) for status, description in _PROBLEMS.items()}
    responses[416]["headers"] |= response_fields("Accept-Ranges", "Content-Range")
    responses[503]["headers"] |= response_fields("Retry-After")
    return deepcopy({status: responses[status] for status in sorted(responses, key=str)})


def problem_response(description: str, *fields: str) -> dict[str, object]:
    """Return the description of an answer with problem details, and with these header fields."""
    return _response(description, {PROBLEM_MEDIA_TYPE: {"schema": deepcopy(dict(PROBLEM_SCHEMA))}}, *fields)


def response_fields(*fields: str) -> dict[str, object]:
    """Return the description of header fields of an answer, in the order of their names."""
    return {field: _header(*_FIELDS[field]) for field in sorted(fields)}


def _response(
    description: str, content: Mapping[str, object] | None = None, *fields: str
) -> dict[str, object]:
    response: dict[str, object] = {
        "description": description,
        "headers": response_fields("X-Request-Id", *fields),
    }
    if content:
        response["content"] = dict(content)
    return response


def _header(kind: str, description: str) -> dict[str, object]:
    return {"description": description, "schema": {"type": kind}}
