"""What the answer of the user's own service means.

The service decides, but is not trusted to write well: a field that is not what it should be denies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from sluicegate.access.base import Grant, Refusal, Verdict
from sluicegate.access.challenges import is_challenge
from sluicegate.access.forward_options import ForwardOptions
from sluicegate.http.fields import Fields
from sluicegate.http.paths import has_dot_piece

MAX_VALUE: Final = 1024
"""The longest subject, claim or key in bytes: as long as a key of S3 may be."""

DEFAULT_CHALLENGE: Final = "Bearer"
"""RFC 9110, section 15.5.2: a 401 MUST have a challenge, also where the service sent none. This one opens
no dialog in a browser."""

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENCODED: Final = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")


def judge(status: int, fields: Fields, options: ForwardOptions, *, absent: bool = False) -> Verdict:
    """The verdict of an answer: 2xx grants, 401, 403 and 404 refuse, and of another one nothing is known.

    `absent` is whether the client showed none of the fields that are passed on.
    """
    service = options.address
    match status:
        case 401:
            challenge = _challenge(fields)
            return Refusal(reason=f"{service} answered 401", challenge=challenge, absent=absent)
        case 403 | 404:
            return Refusal(reason=f"{service} answered {status}", status=403)
        case _ if 200 <= status < 300:
            return _granted(fields, options)
        case _:
            reason = f"{service} answered {status}: a verdict is 2xx, 401, 403 or 404"
            return Refusal(reason=reason, status=503)


class _BadField(Exception):
    """A field of the answer is not what it should be."""


def _granted(fields: Fields, options: ForwardOptions) -> Verdict:
    try:
        return Grant(
            subject=_text(fields, options.subject_field),
            claims=_claims(fields, options.claim_fields),
            key=_key(fields, options.key_field),
        )
    except _BadField as exc:
        return Refusal(reason=f"{options.address} granted access, but {exc}", status=503)


def _claims(fields: Fields, names: Mapping[str, str]) -> Mapping[str, str]:
    found = {claim: _text(fields, name) for claim, name in names.items()}
    return MappingProxyType({claim: value for claim, value in found.items() if value is not None})


def _text(fields: Fields, name: str | None) -> str | None:
    """The text in a field; `None` if there is no such field, or nothing in it."""
    value = _value(fields, name)
    if value is None:
        return None
    _check(value, f"its field {name!r}")
    return value or None


def _key(fields: Fields, name: str | None) -> str | None:
    """The key in a field, decoded; `None` if there is no such field."""
    value = _value(fields, name)
    if value is None:
        return None
    what = f"the key in its field {name!r}"
    # Decoded once, here. A key that is not encoded is refused, so that a percent sign means one thing.
    if not _ENCODED.fullmatch(value):
        raise _BadField(f"{what} is not percent-encoded")
    try:
        key = unquote_to_bytes(value).decode()
    except UnicodeDecodeError as exc:
        raise _BadField(f"{what} is not UTF-8") from exc
    _check(key, what)
    if not key:
        raise _BadField(f"{what} is empty")
    if has_dot_piece(key):
        raise _BadField(f"{what} has a dot segment")
    return key


def _value(fields: Fields, name: str | None) -> str | None:
    if name is None:
        return None
    values = [value for key, value in fields if key == name.lower()]
    if len(values) > 1:
        raise _BadField(f"its field {name!r} is there {len(values)} times")
    return values[0].strip(" \t") if values else None


def _check(text: str, what: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise _BadField(f"{what} is not UTF-8") from exc
    if size > MAX_VALUE:
        raise _BadField(f"{what} has {size} bytes, at most {MAX_VALUE} are allowed")
    if _CONTROLS.search(text):
        raise _BadField(f"{what} has control characters")


def _challenge(fields: Fields) -> str:
    sent = ", ".join(value for name, value in fields if name == "www-authenticate")
    return sent if is_challenge(sent) else DEFAULT_CHALLENGE
