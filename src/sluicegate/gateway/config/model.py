"""From a TOML document to tables: unknown keys and values of a wrong kind become mistakes with a place."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .errors import Report, one_of
from .lines import Location
from .tables import FileTable

_ALLOWED_BY_ERROR = {
    "string_type": "a string",
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "an array of tables, each headed [[routes]]",
}


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
    for part in location:
        # The name of a table, or its place in an array, is no key of a model.
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model in a type such as `dict[str, StoreTable]` or `CorsTable | None`."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _remove(document: dict[str, Any], location: Location) -> None:
    """Take out what is at a location; an element of an array leaves an empty table in its place."""
    container: Any = document
    for part in location[:-1]:
        container = container[part]
    if isinstance(container, list):
        container[int(location[-1])] = {}
    else:
        container.pop(location[-1], None)
