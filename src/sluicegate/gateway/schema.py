"""The JSON Schema of the configuration, for editors that complete and check TOML. Pure."""

from __future__ import annotations

from typing import Any

from .config.tables import FileTable

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def configuration_schema() -> dict[str, Any]:
    """Return the schema: made from the very tables that a file is checked by.

    What must be there, and what must fit together, `sluicegate check` alone says.
    """
    schema = FileTable.model_json_schema()
    return {"$schema": DIALECT, **_simplified(schema), "title": "Sluicegate configuration"}


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
