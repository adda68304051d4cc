"""The OpenAPI document of a configuration: every route, its typed parameters and all of its answers. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final
from urllib.parse import quote

from sluicegate.delivery.openapi import (
    PROBLEM_MEDIA_TYPE,
    PROBLEM_SCHEMA,
    REQUEST_FIELDS,
    object_responses,
    problem_response,
    response_fields,
)

from .config.values import Config, LimitsConfig, RouteConfig, SignedAuth, UpstreamConfig
from .openapi_security import (
    can_be_away,
    can_challenge,
    can_forbid,
    security_requirements,
    security_schemes,
)
from .targets import Placeholder
from .templates import INT, PATH, STR, UUID, Parameter, ParameterType, RouteTemplate

# What routing answers with 400 is in no value: a dot segment, also behind a backslash; a control character.
_NO_DOT_SEGMENT: Final = r"(?!(?:.*[/\\])?\.{1,2}(?:[/\\].*)?$)"
_LARGEST_INT: Final = 10**19 - 1

_SCHEMAS: Final[Mapping[ParameterType, dict[str, object]]] = {
    INT: {"type": "integer", "minimum": -_LARGEST_INT, "maximum": _LARGEST_INT},
    UUID: {"type": "string", "format": "uuid"},
    STR: {"type": "string", "minLength": 1, "pattern": rf"^{_NO_DOT_SEGMENT}[^/\x00-\x1f\x7f]+$"},
    PATH: {"type": "string", "minLength": 1, "pattern": rf"^{_NO_DOT_SEGMENT}[^\x00-\x1f\x7f]+$"},
}
_SPECIFIC_FIRST = (INT, UUID, STR, PATH)
_PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}

_METHODS: Final[Mapping[str, Mapping[str, str]]] = {
    "GET": REQUEST_FIELDS,
    "HEAD": {name: REQUEST_FIELDS[name] for name in REQUEST_FIELDS if name not in ("Range", "If-Range")},
}
"""The methods that a route may answer, and the request's fields that matter to each."""

_UNREAD: Final[Mapping[int, str]] = {
    408: "The head of the request did not come in time. There is no content.",
    414: "The target of the request is too long. There is no content.",
    431: "The head of the request is too long, or has too many fields. There is no content.",
}
"""Answers to requests that are not read to their end."""

_LOCAL: Final = ("file:", "memory:")

_Responses = dict[int | str, dict[str, Any]]


def openapi_document(config: Config, version: str) -> dict[str, object]:
    """Return the OpenAPI 3.0.3 document of the routes of a configuration; `version` is that of the API."""
    groups = _told_apart(config.routes)
    components: dict[str, object] = {"schemas": {"Problem": deepcopy(dict(PROBLEM_SCHEMA))}}
    if config.auth:
        components["securitySchemes"] = security_schemes(config.auth.values())
    return {
        "openapi": "3.0.3",
        "info": {"title": config.gateway.title, "version": version},
        "paths": {_path(group[0].path): _path_item(group, config) for group in groups},
        "components": components,
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


def _path_item(group: Sequence[RouteConfig], config: Config) -> dict[str, object]:
    item: dict[str, object] = {"parameters": _path_parameters(group)}
    for method in _METHODS:
        answering = [route for route in group if method in route.methods]
        if answering:
            item[method.lower()] = _operation(method, answering, group, config)
    return item


def _operation(
    method: str, answering: Sequence[RouteConfig], group: Sequence[RouteConfig], config: Config
) -> dict[str, object]:
    responses = _responses(answering, config)
    if len(answering) < len(group):
        responses[405] = problem_response("The route of this path does not answer this method.", "Allow")
    if method == "HEAD":
        responses = _without_content(responses)
    return {
        **_words(answering),
        "parameters": _fields(_METHODS[method]),
        **_security(answering, config),
        "responses": {str(status): _with_reference(responses[status]) for status in sorted(responses)},
    }


def _security(routes: Sequence[RouteConfig], config: Config) -> dict[str, object]:
    requirements = security_requirements(routes, config.auth)
    return {"security": requirements} if requirements else {}


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


def _responses(routes: Sequence[RouteConfig], config: Config) -> _Responses:
    """Return every answer of routes that share an operation: a status is there if it can come."""
    responses: _Responses = dict(object_responses(routes[0].media_type))
    for route in routes[1:]:
        _merge_content(responses, object_responses(route.media_type))
    if not any(_may_be_busy(route, config) for route in routes):
        del responses[503]
    responses |= _refusals(routes, config)
    _add_fields(responses, routes, config)
    return responses


def _refusals(routes: Sequence[RouteConfig], config: Config) -> _Responses:
    """Return the answers to requests that are not let through."""
    refusals: _Responses = {
        400: problem_response("The path or a field is malformed, or holds what it must not.")
    }
    if any(can_challenge(route, config.auth) for route in routes):
        refusals[401] = problem_response("Nothing that is valid shows who asks.", "WWW-Authenticate")
    if forbidden := _forbidden(routes, config):
        refusals[403] = problem_response(" ".join(forbidden))
    if any(parameter.kind in (INT, UUID) for route in routes for parameter in route.path.parameters):
        refusals[422] = problem_response("A parameter of the path is not of its type.")
    if any(_may_be_too_many(limits) for limits in _limits(routes, config)):
        refusals[429] = problem_response("Too many requests, or too many at once.", "Retry-After")
    return {**refusals, **{status: {"description": text} for status, text in _UNREAD.items()}}


def _forbidden(routes: Sequence[RouteConfig], config: Config) -> list[str]:
    by_origin = ["The origin denies the object."] if config.gateway.denied_status == 403 else []
    by_route = any(can_forbid(route, config.auth) for route in routes)
    return ["Who asks may not have this.", *by_origin] if by_route else by_origin


def _limits(routes: Iterable[RouteConfig], config: Config) -> list[LimitsConfig]:
    return [config.limits, *(route.limits for route in routes)]


def _may_be_too_many(limits: LimitsConfig) -> bool:
    return bool(limits.client_transfers or _is_rated(limits))


def _is_rated(limits: LimitsConfig) -> bool:
    return limits.requests is not None or limits.client_requests is not None


def _may_be_busy(route: RouteConfig, config: Config) -> bool:
    limits = _limits([route], config)
    is_denied = not config.limits.is_counted_here and config.limits.on_failure == "deny"
    return (
        _is_remote(route, config)
        or can_be_away(route, config.auth)
        or bool(config.limits.max_connections)
        or any(one.transfers or (is_denied and _is_rated(one)) for one in limits)
    )


def _is_remote(route: RouteConfig, config: Config) -> bool:
    """Whether the origin is another machine's, which may throttle."""
    if isinstance(route.target, UpstreamConfig):
        return True
    store = route.target.store
    names = route.stores if isinstance(store, Placeholder) else (store,)
    return any(not config.stores[name].url.startswith(_LOCAL) for name in names)


def _add_fields(responses: _Responses, routes: Sequence[RouteConfig], config: Config) -> None:
    """Describe the fields of limits and of links, where the answer has them."""
    if any(_is_rated(limits) for limits in _limits(routes, config)):
        for status in responses.keys() & {200, 206, 304, 429}:
            responses[status]["headers"] |= response_fields("RateLimit", "RateLimit-Policy")
    links = (config.auth[name] for route in routes for name in route.auth)
    if any(isinstance(link, SignedAuth) and link.options.cookie_for_prefix for link in links):
        for status in (200, 206):
            responses[status]["headers"] |= response_fields("Set-Cookie")


def _merge_content(responses: _Responses, others: Mapping[int | str, dict[str, Any]]) -> None:
    for status in (200, 206):
        responses[status]["content"] |= others[status]["content"]


def _with_reference(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response whose problem details are those of the document's components."""
    content = response.get("content")
    if isinstance(content, dict) and PROBLEM_MEDIA_TYPE in content:
        return {**response, "content": {PROBLEM_MEDIA_TYPE: {"schema": dict(_PROBLEM_REFERENCE)}}}
    return response


def _without_content(responses: _Responses) -> _Responses:
    """Return the answers to HEAD, which has no content and no ranges."""
    return {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in responses.items()
        if status not in (206, 416)
    }


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
