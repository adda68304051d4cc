"""Header fields that a route sets on its answers and on its requests: which, and what they may hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .errors import Report
from .field_values import is_field_name, is_field_value
from .lines import Location

Fields = tuple[tuple[str, str], ...]

# What frames a message or belongs to one connection (RFC 9110, section 7.6.1; RFC 9112, section 6).
_FRAMING = frozenset(
    {
        *("connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


@dataclass(frozen=True, slots=True)
class FieldRules:
    """What a table refuses: fields that only the gateway may set, and fields with a key of their own."""

    refused: frozenset[str]
    own_keys: Mapping[str, str]


# A fixed value of what is found out for each object would be a lie.
ANSWER_FIELDS = FieldRules(
    _FRAMING | {"accept-ranges", "content-range", "date", "etag", "last-modified", "x-request-id"},
    {
        "cache-control": "the key cache_control",
        "content-disposition": "the keys disposition and filename",
        "content-type": "the key media_type",
    },
)

# What the gateway decides for each request, from what its client asks for.
REQUEST_FIELDS = FieldRules(
    _FRAMING
    | {
        *("accept-encoding", "expect", "range", "if-range", "if-match", "if-none-match"),
        *("if-modified-since", "if-unmodified-since"),
    },
    {},
)


def read_fields(
    table: Mapping[str, str] | None, rules: FieldRules, location: Location, report: Report
) -> Fields:
    """Return the fields of a table, names in lower case; what is not allowed is reported."""
    fields: dict[str, str] = {}
    for name, value in (table or {}).items():
        for found, allowed in _problems(name, value, rules):
            report.add((*location, name), found, allowed)
        if name.lower() in fields:
            report.add((*location, name), f"{name!r} twice", "each field once, whatever its case")
        fields[name.lower()] = value
    return tuple(fields.items())


def _problems(name: str, value: str, rules: FieldRules) -> Iterator[tuple[str, str]]:
    if not is_field_name(name):
        yield repr(name), "the name of a header field: letters, digits and '-'"
    if name.lower() in rules.refused:
        yield repr(name), "another field: the gateway alone sets this one"
    if name.lower() in rules.own_keys:
        yield repr(name), rules.own_keys[name.lower()]
    # The value is not quoted: fields to an upstream carry secrets.
    if not is_field_value(value):
        yield "a value that cannot be sent", "printable ASCII on one line"
