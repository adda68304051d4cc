"""What a header field may hold on the wire: any bytes, as ASGI servers hand them on."""

import string

from hypothesis import strategies as st

LATIN_1 = st.binary(max_size=80).map(lambda raw: raw.decode("latin-1"))
"""Any bytes at all."""

HOSTILE = 1_000_000
"""Characters of a value that would take hours to read if reading were quadratic."""


def resembling(*pieces: str) -> st.SearchStrategy[str]:
    """Values made of the `pieces` that a field is made of, in any order, with bytes that do not belong."""
    return st.lists(st.one_of(st.sampled_from(pieces), LATIN_1.map(lambda text: text[:3])), max_size=12).map(
        "".join
    )


RANGES = resembling("bytes=", "Bytes=", "lines=", "-", "-", ",", " ", "0", "5", "99", str(2**64), "\n")
CONTENT_RANGES = resembling("bytes ", "0-0", "-", "/", "*", "10", "99", str(2**64), "\n")
TAGS = resembling('"', '"a"', 'W/"b"', "W/", "*", ",", " ", "\t", "\n", "\xff")
DATES = resembling(
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 ",
    "Sun Nov  6 ",
    "99:99:99",
    " 0000",
    " GMT",
    *string.digits,
)
ANYTHING = st.one_of(LATIN_1, RANGES, CONTENT_RANGES, TAGS, DATES)
