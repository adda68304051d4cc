"""What a single value in the file may be: each kind with its check, and how the JSON Schema says it."""

import math
import re
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from sluicegate.http.cors import ANY_ORIGIN, is_origin
from sluicegate.http.fields import flaw_in_line

from .environment import Expanded
from .field_values import is_field_name, is_field_value, is_media_type
from .sizes import read_size

# A longer wait than a day is a typing error, and some clients cannot represent it.
LONGEST_TIMEOUT_SECONDS = 86_400.0

# Smaller parts cost more in requests than they bring.
SMALLEST_PART = 64 * 1024

# More of anything is a typing error.
LARGEST_COUNT = 10**9

TABLE_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""What `NAME` may be in `[stores.NAME]` and its like."""

_REGION = re.compile(r"[A-Za-z0-9-]+")
_RATE = re.compile(r"[1-9][0-9]{0,8} ?/ ?(?:[1-9][0-9]{0,4} ?)?(?:second|minute|hour|day)s?")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def not_allowed(allowed: str) -> PydanticCustomError:
    """The error of a value that is not what may stand there."""
    return PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed})


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, Expanded) and value in {"true", "false"}:
        return value == "true"
    raise not_allowed("true or false")


def _seconds(value: object) -> float:
    number = _number(value)
    if not 0 < number < LONGEST_TIMEOUT_SECONDS:
        raise not_allowed(f"a number of seconds above 0 and below {LONGEST_TIMEOUT_SECONDS:.0f}")
    return number


def _seconds_or_zero(value: object, *, zero: str) -> float:
    if _number(value) == 0:
        return 0.0
    try:
        return _seconds(value)
    except PydanticCustomError:
        allowed = f"a number of seconds below {LONGEST_TIMEOUT_SECONDS:.0f}, or 0 for {zero}"
        raise not_allowed(allowed) from None


def _size(value: object, *, least: int = 0) -> int:
    # A number that came from the environment is text.
    is_digits = isinstance(value, Expanded) and value.isascii() and value.isdigit() and len(value) < 14
    size = read_size(int(value) if isinstance(value, Expanded) and is_digits else value)
    if size is None or size < least:
        reason = f" of at least {least // 1024}KiB" if least else ""
        raise not_allowed(f"a size{reason}: bytes as an integer, or text such as '8MiB' (KiB, MiB, GiB)")
    return size


def _count(value: object) -> int:
    number = _number(value)
    if not 0 <= number <= LARGEST_COUNT or number != int(number):
        raise not_allowed(f"a whole number from 0, for no limit, to {LARGEST_COUNT}")
    return int(number)


def _texts(value: object, fits: Callable[[str], bool], allowed: str, least: int) -> tuple[str, ...]:
    """Read one text, or an array of `least` of them or more."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) and fits(item) for item in items):
        raise not_allowed(allowed)
    if len(items) < least:
        raise not_allowed(allowed)
    return tuple(items)


def is_listen_address(text: str) -> bool:
    """Tell whether the text is an address or a name with a port."""
    return _ADDRESS.fullmatch(text) is not None and int(text.rpartition(":")[2]) < 65536


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _number(value: object) -> float:
    """Return a number, also one that came as text from the environment; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Expanded):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _verification(value: object) -> bool | str:
    if isinstance(value, str) and value and value not in {"true", "false"}:
        return value
    try:
        return _switch(value)
    except PydanticCustomError:
        raise not_allowed("true, false, or the path of a file of certificate authorities") from None


def _denied_status(value: object) -> object:
    return int(value) if isinstance(value, Expanded) and value in {"403", "404"} else value


def _one_line(value: str, *, is_ascii: bool) -> str:
    """Check what is sent in header fields, or in their place; what is wrong is told without the value."""
    if not value.strip():
        raise not_allowed("text")
    if (flaw := flaw_in_line(value, is_ascii=is_ascii)) is not None:
        raise not_allowed(f"{'printable ASCII' if is_ascii else 'text'} on one line: this has {flaw}")
    return value


def _checked(allowed: str, fits: Callable[[str], bool]) -> AfterValidator:
    def check(value: str) -> str:
        if not fits(value):
            raise not_allowed(allowed)
        return value

    return AfterValidator(check)


def _array(
    allowed: str, fits: Callable[[str], bool], *, least: int = 0
) -> tuple[PlainValidator, WithJsonSchema]:
    strings = {"type": "string"}
    array = {"type": "array", "items": strings, **({"minItems": least} if least else {})}
    schema = WithJsonSchema({"anyOf": [strings, array]})
    return PlainValidator(partial(_texts, fits=fits, allowed=allowed, least=least)), schema


def _is_text(value: str) -> bool:
    return bool(value.strip())


# What a value that the environment may fill looks like before it is expanded.
_REFERENCE = {"type": "string", "pattern": r"\$\{"}
_SIZE_SCHEMA = WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]})
_NUMBER_SCHEMA = WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, _REFERENCE]})

Text = Annotated[str, _checked("text", _is_text)]
Credential = Annotated[str, AfterValidator(partial(_one_line, is_ascii=True))]
OneLine = Annotated[str, AfterValidator(partial(_one_line, is_ascii=False))]
Region = Annotated[
    str, _checked("a region of letters, digits and '-'", lambda value: bool(_REGION.fullmatch(value)))
]
MediaType = Annotated[str, _checked("a media type such as 'image/jpeg'", is_media_type)]
FieldName = Annotated[str, _checked("the name of a header field", is_field_name)]
FieldValue = Annotated[
    str, _checked("printable ASCII on one line, for it is sent as a header field", is_field_value)
]
FileName = Annotated[
    str,
    _checked(
        "a file name without '/', '\\', braces and control characters",
        lambda value: bool(value.strip()) and not re.search(r"[/\\{}\x00-\x1f\x7f]", value),
    ),
]
Rate = Annotated[
    str,
    _checked(
        "a rate such as '10/second' or '100/5 minutes'", lambda value: _RATE.fullmatch(value) is not None
    ),
]
ListenAddress = Annotated[
    str,
    _checked(
        "an address and port such as '127.0.0.1:9464', or 'off'",
        lambda value: value == "off" or is_listen_address(value),
    ),
]

Switch = Annotated[
    bool, PlainValidator(_switch), WithJsonSchema({"anyOf": [{"type": "boolean"}, _REFERENCE]})
]
Seconds = Annotated[float, PlainValidator(_seconds), _NUMBER_SCHEMA]
SecondsOrNever = Annotated[float, PlainValidator(partial(_seconds_or_zero, zero="never")), _NUMBER_SCHEMA]
SecondsOrNone = Annotated[float, PlainValidator(partial(_seconds_or_zero, zero="none")), _NUMBER_SCHEMA]
Count = Annotated[
    int, PlainValidator(_count), WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, _REFERENCE]})
]
Size = Annotated[int, PlainValidator(_size), _SIZE_SCHEMA]
PartSize = Annotated[int, PlainValidator(partial(_size, least=SMALLEST_PART)), _SIZE_SCHEMA]
Verification = Annotated[
    bool | str,
    PlainValidator(_verification),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string"}]}),
]
DeniedStatus = Annotated[Literal[404, 403], BeforeValidator(_denied_status)]

Texts = Annotated[tuple[str, ...], *_array("text, or an array of texts", _is_text)]
SomeTexts = Annotated[tuple[str, ...], *_array("text, or an array of one text or more", _is_text, least=1)]
WhoMayRead = Annotated[tuple[str, ...], *_array("names, or 'public'", _is_text, least=1)]
Hosts = Annotated[
    tuple[str, ...],
    *_array(
        "names of hosts without a port, such as 'admin.example.com'",
        lambda text: _HOST.fullmatch(text) is not None,
    ),
]
Networks = Annotated[
    tuple[str, ...], *_array("networks such as '10.0.0.0/8', or an array of them", _is_network)
]
Origins = Annotated[
    tuple[str, ...],
    *_array(
        "origins such as 'https://app.example.com', or '*'",
        lambda text: text == ANY_ORIGIN or is_origin(text),
    ),
]
Methods = Annotated[
    tuple[str, ...], *_array("'GET', 'HEAD' or both", lambda text: text in {"GET", "HEAD"}, least=1)
]
