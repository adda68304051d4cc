"""The shape of the file: which tables and keys there are, and what each value may be by itself.

Every key is optional here. What must be there, and what must fit together, is decided where the tables are
read (`stores`, `routes`), so that one mistake does not hide another.
"""

import math
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from .environment import Expanded
from .errors import Report, one_of
from .field_values import is_field_value, is_media_type
from .lines import Location
from .sizes import read_size
from .values import Addressing, Client, Disposition, LogStyle

# A longer wait than a day is a typing error, and some clients cannot represent it.
LONGEST_TIMEOUT_SECONDS = 86_400.0

# Smaller parts cost more in requests than they bring.
SMALLEST_PART = 64 * 1024

_REGION = re.compile(r"[A-Za-z0-9-]+")
_ALLOWED_BY_ERROR = {
    "string_type": "a string",
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "an array of tables, each headed [[routes]]",
}


def _not_allowed(allowed: str) -> PydanticCustomError:
    return PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed})


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, Expanded) and value in {"true", "false"}:
        return value == "true"
    raise _not_allowed("true or false")


def _seconds(value: object) -> float:
    number = _number(value)
    if not 0 < number < LONGEST_TIMEOUT_SECONDS:
        raise _not_allowed(f"a number of seconds above 0 and below {LONGEST_TIMEOUT_SECONDS:.0f}")
    return number


def _seconds_or_never(value: object) -> float:
    if _number(value) == 0:
        return 0.0
    try:
        return _seconds(value)
    except PydanticCustomError:
        allowed = f"a number of seconds below {LONGEST_TIMEOUT_SECONDS:.0f}, or 0 for never"
        raise _not_allowed(allowed) from None


def _size(value: object, *, least: int = 0) -> int:
    # A number that came from the environment is text.
    is_digits = isinstance(value, Expanded) and value.isascii() and value.isdigit() and len(value) < 14
    size = read_size(int(value) if isinstance(value, Expanded) and is_digits else value)
    if size is None or size < least:
        reason = f" of at least {least // 1024}KiB" if least else ""
        raise _not_allowed(f"a size{reason}: bytes as an integer, or text such as '8MiB' (KiB, MiB, GiB)")
    return size


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
        raise _not_allowed("true, false, or the path of a file of certificate authorities") from None


def _denied_status(value: object) -> object:
    return int(value) if isinstance(value, Expanded) and value in {"403", "404"} else value


def _checked(allowed: str, fits: Callable[[str], bool]) -> AfterValidator:
    def check(value: str) -> str:
        if not fits(value):
            raise _not_allowed(allowed)
        return value

    return AfterValidator(check)


Text = Annotated[str, _checked("text", lambda value: bool(value.strip()))]
Region = Annotated[
    str, _checked("a region of letters, digits and '-'", lambda value: bool(_REGION.fullmatch(value)))
]
MediaType = Annotated[str, _checked("a media type such as 'image/jpeg'", is_media_type)]
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
Switch = Annotated[bool, PlainValidator(_switch)]
Seconds = Annotated[float, PlainValidator(_seconds)]
SecondsOrNever = Annotated[float, PlainValidator(_seconds_or_never)]
Size = Annotated[int, PlainValidator(_size)]
PartSize = Annotated[int, PlainValidator(partial(_size, least=SMALLEST_PART))]
Verification = Annotated[bool | str, PlainValidator(_verification)]
DeniedStatus = Annotated[Literal[404, 403], BeforeValidator(_denied_status)]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class StoreTable(_Table):
    """`[stores.NAME]`."""

    url: Text | None = None
    endpoint_url: Text | None = None
    region: Region | None = None
    access_key_id: Text | None = None
    secret_access_key: Text | None = None
    session_token: Text | None = None
    profile: Text | None = None
    anonymous: Switch | None = None
    addressing: Addressing | None = None
    tls_verify: Verification | None = None
    client: Client | None = None
    connect_timeout: Seconds | None = None
    read_timeout: Seconds | None = None
    account_name: Text | None = None
    account_key: Text | None = None
    sas_token: Text | None = None
    service_account_file: Text | None = None


class RouteTable(_Table):
    """`[[routes]]`."""

    path: str | None = None
    object: str | None = None
    upstream: str | None = None
    media_type: MediaType | None = None
    summary: Text | None = None
    description: Text | None = None
    filename: FileName | None = None
    disposition: Disposition | None = None
    cache_control: FieldValue | None = None
    headers: dict[str, str] | None = None
    connect_timeout: Seconds | None = None
    read_timeout: Seconds | None = None
    tls_verify: Verification | None = None
    request_headers: dict[str, str] | None = None


class GatewayTable(_Table):
    """`[gateway]`."""

    denied_status: DeniedStatus | None = None
    title: Text | None = None
    openapi: Switch | None = None
    drain_timeout: Seconds | None = None
    log: LogStyle | None = None


class TransfersTable(_Table):
    """`[transfers]`."""

    part_size: PartSize | None = None
    read_ahead: Size | None = None
    read_ahead_total: Size | None = None
    park_after: SecondsOrNever | None = None
    give_up_after: Seconds | None = None
    min_drain_rate: Size | None = None
    min_drain_seconds: Seconds | None = None


class FileTable(_Table):
    """The whole file."""

    stores: dict[str, StoreTable] = {}
    routes: list[RouteTable] = []
    gateway: GatewayTable = GatewayTable()
    transfers: TransfersTable = TransfersTable()


def read_tables(document: Mapping[str, object], report: Report) -> FileTable:
    """Check the shape of a document; what is wrong is reported, and left out of the tables returned."""
    try:
        return FileTable.model_validate(document)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
    sound: dict[str, Any] = deepcopy(dict(document))
    for error in errors:
        _report_error(error, report)
        _remove(sound, error["loc"])
    return FileTable.model_validate(sound)


def _report_error(error: ErrorDetails, report: Report) -> None:
    location: Location = error["loc"]
    if error["type"] == "extra_forbidden":
        keys = _table_at(location[:-1]).model_fields
        report.add(location, "an unknown key", one_of(keys, str(location[-1])))
    else:
        report.add_value(location, error["input"], _allowed(error))


def _allowed(error: ErrorDetails) -> str:
    if error["type"] == "literal_error":
        return str(error["ctx"]["expected"])
    return _ALLOWED_BY_ERROR.get(error["type"], error["msg"])


def _table_at(location: Location) -> type[BaseModel]:
    """Return the model of the table at a location."""
    model: type[BaseModel] = FileTable
    if location:
        annotation = FileTable.model_fields[str(location[0])].annotation
        model = next(kind for kind in (*get_args(annotation), annotation) if _is_table(kind))
    return model


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _remove(document: dict[str, Any], location: Location) -> None:
    """Take out what is at a location; an element of an array leaves an empty table in its place."""
    container: Any = document
    for part in location[:-1]:
        container = container[part]
    if isinstance(container, list):
        container[int(location[-1])] = {}
    else:
        container.pop(location[-1], None)
