"""The challenge of a 401: which credentials would help (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from typing import Final

from sluicegate.access.errors import BadCredentials

MAX_CHALLENGE: Final = 1024
"""The longest challenge in characters that is taken from somebody else: several of them fit."""

_REALM: Final = re.compile(r"[\x20-\x7e]{1,200}")
_CHALLENGE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ ,][\t\x20-\x7e]*)?")


def challenge(scheme: str, realm: str) -> str:
    """The challenge of a scheme: `ApiKey realm="files"`. Raises `BadCredentials` for a realm that is none."""
    if not _REALM.fullmatch(realm):
        raise BadCredentials(f"realm {realm!r} must be 1 to 200 printable ASCII characters")
    # RFC 9110, section 5.6.4: in a quoted-string, a backslash stands before a quote and before a backslash.
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'{scheme} realm="{quoted}"'


def is_challenge(value: str) -> bool:
    """Whether a value may be sent as that of `WWW-Authenticate`: it begins with a scheme, and is ASCII."""
    return len(value) <= MAX_CHALLENGE and _CHALLENGE.fullmatch(value) is not None
