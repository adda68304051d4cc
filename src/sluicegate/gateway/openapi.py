"""The OpenAPI document of a configuration: every route, its typed parameters and all of its answers. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any
from urllib.parse import quote

from sluicegate.delivery.openapi import (
    PROBLEM_MEDIA_TYPE,
    PROBLEM_SCHEMA,
    REQUEST_FIELDS,
    object_responses,
    problem_response,
)

from .config.values import Config, RouteConfig
from .templates import INT, PATH, STR, UUID, Parameter, ParameterType, RouteTemplate

_SCHEMAS: dict[ParameterType, dict[str, object]] = {
    INT: {"type": "integer"},
    UUID: {"type": "string", "format": "uuid"},
    STR: {"type": "string", "minLength": 1},
    PATH: {"type": "string", "minLength": 1},
}
_SPECIFIC_FIRST = (INT, UUID, STR, PATH)
_PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}

_Responses = Mapping[int | str, dict[str, Any]]


def openapi_document(config: Config, version: str) -> dict[str, object]:
    """Return the OpenAPI 3.0.3 document of the routes of a configuration; `version` is that of the API."""
    denied = config.gateway.denied_status
    groups = _told_apart(config.routes)
    return {
        "openapi": "3.0.3",
        "info": {"title": config.gateway.title, "version": version},
        "paths": {_path(group[0].path): _path_item(group, denied) for group in groups},
        "components": {"schemas": {"Problem": deepcopy(dict(PROBLEM_SCHEMA))}},
    }


def _told_apart(routes: Iterable[RouteConfig]) -> list[list[RouteConfig]]:
    """Gather the routes that OpenAPI cannot tell apart, each group with its most specific route first.

    OpenAPI 3.0.3, Paths Object: "Templated paths with the same hierarchy but different templated names MUST
    NOT exist as they are identical."
    """
    groups: dict[tuple[str | None, ...], list[RouteConfig]] = {}
    for route in routes:
        hierarchy = tuple(part if isinstance(part, str) else None for part in route.path.segments)
        groups.setdefault(hierarchy, []).append(route)
    return [sorted(group, key=_specificity) for group in groups.values()]


def _specificity(route: RouteConfig) -> list[int]:
    return [_SPECIFIC_FIRST.index(parameter.kind) for parameter in route.path.parameters]


def _path(template: RouteTemplate) -> str:
    """Write a template as OpenAPI does: `/tasks/{task_id}/image`, literal segments percent-encoded."""
    return "".join(
        f"/{{{part.name}}}" if isinstance(part, Parameter) else f"/{quote(part)}"
        for part in template.segments
    )


def _path_item(group: Sequence[RouteConfig], denied_status: int) -> dict[str, object]:
    responses = _responses(group, denied_status)
    return {
        "parameters": _path_parameters(group),
        "get": {**_words(group), "parameters": _fields(REQUEST_FIELDS), "responses": responses},
        "head": {
            **_words(group),
            "parameters": _fields({"If-None-Match": REQUEST_FIELDS["If-None-Match"]}),
            "responses": _without_content(responses),
        },
    }


def _words(group: Sequence[RouteConfig]) -> dict[str, object]:
    summaries = _distinct(route.summary or _path(route.path) for route in group)
    descriptions = _distinct(route.description for route in group if route.description)
    words: dict[str, object] = {"summary": " / ".join(summaries)}
    return {**words, "description": "\n\n".join(descriptions)} if descriptions else words


def _path_parameters(group: Sequence[RouteConfig]) -> list[dict[str, object]]:
    """Describe each parameter under its name in the first route, with the types of all routes."""
    positions = zip(*(route.path.parameters for route in group), strict=True)
    return [
        {
            "name": parameters[0].name,
            "in": "path",
            "required": True,
            "description": " Or: ".join(_distinct(_description(parameter.kind) for parameter in parameters)),
            "schema": _schema(parameters),
        }
        for parameters in positions
    ]


def _description(kind: ParameterType) -> str:
    return kind.allowed[:1].upper() + kind.allowed[1:] + "."


def _schema(parameters: Sequence[Parameter]) -> dict[str, object]:
    kinds = list(dict.fromkeys(parameter.kind for parameter in parameters))
    schemas = [dict(_SCHEMAS[kind]) for kind in kinds]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _fields(descriptions: Mapping[str, str]) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
        for name, description in descriptions.items()
    ]


def _responses(group: Sequence[RouteConfig], denied_status: int) -> dict[str, dict[str, object]]:
    responses = object_responses(group[0].media_type)
    for route in group[1:]:
        _merge_content(responses, object_responses(route.media_type))
    responses[400] = problem_response("The path is malformed, or holds a '.' or '..' segment.")
    if denied_status == 403:
        responses[403] = problem_response("The origin denies the object.")
    if any(parameter.kind in (INT, UUID) for route in group for parameter in route.path.parameters):
        responses[422] = problem_response("A parameter of the path is not of its type.")
    return {str(status): _with_reference(responses[status]) for status in sorted(responses, key=str)}


def _merge_content(responses: _Responses, others: _Responses) -> None:
    for status in (200, 206):
        responses[status]["content"] |= others[status]["content"]


def _with_reference(response: dict[str, object]) -> dict[str, object]:
    """Return a response whose problem details are those of the document's components."""
    content = response.get("content")
    if isinstance(content, dict) and PROBLEM_MEDIA_TYPE in content:
        return {**response, "content": {PROBLEM_MEDIA_TYPE: {"schema": dict(_PROBLEM_REFERENCE)}}}
    return response


def _without_content(responses: Mapping[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return the answers to HEAD, which has no content and no ranges."""
    return {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in responses.items()
        if status not in {"206", "416"}
    }


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
