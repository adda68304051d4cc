"""What may stand in a header field: syntax checks of names and values that come from the configuration.

RFC 9110, sections 5.1, 5.5 and 8.3.1. Anything that could split a header is refused.
"""

import re

_TCHAR = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*"'
_TOKEN = re.compile(rf"{_TCHAR}+")
# RFC 9110, section 5.5: field values "containing CR, LF, or NUL characters are invalid and dangerous". Beyond
# ASCII the octets are opaque, and no encoding of a configured text would be right for every client.
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_MEDIA_TYPE = re.compile(
    rf"{_TCHAR}+/{_TCHAR}+(?:[ \t]*;[ \t]*{_TCHAR}+=(?:{_TCHAR}+|{_QUOTED}))*",
)


def is_field_name(text: str) -> bool:
    """Tell whether the text is a token, as the name of a header field must be."""
    return _TOKEN.fullmatch(text) is not None


def is_field_value(text: str) -> bool:
    """Tell whether the text is a non-empty field value of visible ASCII, spaces and tabs."""
    return _VALUE.fullmatch(text) is not None


def is_media_type(text: str) -> bool:
    """Tell whether the text is a media type, with or without parameters; a range such as `image/*` is not."""
    return _MEDIA_TYPE.fullmatch(text) is not None and "*" not in text.partition(";")[0]
