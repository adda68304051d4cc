"""The JSON Schema of the configuration, for editors that complete and check TOML. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from inspect import getsource
from itertools import pairwise
from typing import Any

from .config import tables

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def configuration_schema() -> dict[str, Any]:
    """Return the schema: made from the very tables that a file is checked by.

    What must be there, and what must fit together, `sluicegate check` alone says.
    """
    schema = tables.FileTable.model_json_schema()
    said = _said_of_keys()
    for name, table in (("FileTable", schema), *schema["$defs"].items()):
        for key, of in table["properties"].items():
            of.setdefault("description", said[name].get(key) or said["LimitsTable"].get(key, ""))
    return {"$schema": DIALECT, **_simplified(schema), "title": "Sluicegate configuration"}


def _said_of_keys() -> dict[str, dict[str, str]]:
    """The text below each key of each table. pydantic can find it too, each time that the tables are made."""
    classes = [node for node in ast.parse(getsource(tables)).body if isinstance(node, ast.ClassDef)]
    return {one.name: dict(_said_in(one)) for one in classes}


def _said_in(table: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for key, text in pairwise(table.body):
        match key, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, said


def _simplified(value: Any) -> Any:
    """The schema without what only says that every key may be left out."""
    if isinstance(value, list):
        return [_simplified(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _simplified(item) for key, item in value.items() if (key, item) != ("default", None)}
    kinds = [kind for kind in kept.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1 and "anyOf" in kept:
        del kept["anyOf"]
        return {**kinds[0], **kept}
    return {**kept, "anyOf": kinds} if kinds else kept
