"""Objects that a browser would run: what is said beside them, so that they can do nothing in its name.

Whoever may put an object into a store may put a page with a script there. Served from the address of an
application, it would read what the application's own pages may.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from sluicegate.http.fields import Fields

ActiveContent = Literal["sandbox", "attachment", "trust"]
"""What to do with it: serve it without any rights, have it saved instead of shown, or let it run."""

# RFC 9110, section 5.6.2: what is no tchar ends a type or a subtype.
_BETWEEN: Final = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z/-]+")

_ACTIVE: Final = re.compile(
    r"text/html|[^/]+/[^/]*\+xml|(?:text|application)/xml(?:-.*)?|text/xsl|text/rdf|text/cache-manifest"
    # What has documents inside it.
    r"|multipart/.*|message/.*|application/x-mimearchive",
    re.IGNORECASE,
)

_NO_SNIFFING: Final[Fields] = (("x-content-type-options", "nosniff"),)

SANDBOX: Final = (
    "default-src 'none'; font-src data:; img-src data:; media-src data:; style-src 'unsafe-inline'; sandbox"
)
"""No script, no form, no request to anywhere, and an origin of its own; styles and what is in the file itself
are shown, so that pictures look as they should."""


@lru_cache(maxsize=256)
def is_active(media_type: str) -> bool:
    """Whether a browser may run what is inside an object of this type.

    A type anywhere in the value counts. Where commas stand in it, browsers take the last that they
    understand (Fetch standard, "extract a MIME type"), and some end a type at a blank or a bracket.
    """
    return any(_ACTIVE.fullmatch(essence) for essence in _BETWEEN.split(media_type))


def safe_fields(media_type: str, policy: ActiveContent | None) -> Fields:
    """The fields that go with an object of this type: a browser never takes it for one of another."""
    if policy is None:
        return ()
    if policy != "trust" and is_active(media_type):
        # An attachment too: inside an <embed> or <object>, not every browser heeds Content-Disposition.
        return (*_NO_SNIFFING, ("content-security-policy", SANDBOX))
    return _NO_SNIFFING


def safe_disposition(media_type: str, disposition: str | None, policy: ActiveContent | None) -> str | None:
    """The `Content-Disposition` of an object of this type: active content may have to be saved."""
    if policy != "attachment" or not is_active(media_type):
        return disposition
    kind, semicolon, parameters = (disposition or "").partition(";")
    return f"attachment{semicolon}{parameters}" if kind.strip().lower() != "attachment" else disposition
