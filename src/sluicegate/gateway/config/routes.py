"""From the tables of `[[routes]]` to checked routes: their paths, and what they lead to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..targets import ObjectTemplate, UpstreamTemplate
from ..templates import PATH, RouteTemplate, TemplateError
from .errors import Report, dotted, one_of
from .files import existing_file
from .headers import ANSWER_FIELDS, REQUEST_FIELDS, read_fields
from .lines import Location
from .model import RouteTable
from .values import RouteConfig, UpstreamConfig

HEALTH_PATHS = ("/healthz", "/readyz")
"""Paths that the gateway itself answers."""

DOCUMENT_PATHS = ("/docs", "/openapi.json")
"""Paths that the gateway itself answers, unless `openapi = false`."""

_UPSTREAM_ONLY = ("connect_timeout", "read_timeout", "tls_verify", "request_headers")


@dataclass(frozen=True, slots=True)
class RouteContext:
    """What the routes of a file need to know of the rest of it, and where their mistakes go."""

    store_names: frozenset[str]
    reserved_paths: frozenset[str]
    base: Path
    report: Report


@dataclass(frozen=True, slots=True)
class _Written:
    """A route as it is written: `path` is None where it is missing or wrong."""

    table: RouteTable
    path: RouteTemplate | None
    location: Location
    context: RouteContext

    def add(self, key: str, found: str, allowed: str) -> None:
        self.context.report.add((*self.location, key), found, allowed)

    def add_value(self, key: str, value: object, allowed: str) -> None:
        self.context.report.add_value((*self.location, key), value, allowed)


def build_routes(tables: Sequence[RouteTable], context: RouteContext) -> tuple[RouteConfig, ...]:
    """Return the routes that can be used; what is wrong is reported."""
    routes = [_written(table, ("routes", index), context) for index, table in enumerate(tables)]
    _check_shapes([route.path for route in routes], context.report)
    built = (_build_route(route) for route in routes if not context.report.has(route.location))
    return tuple(route for route in built if route is not None)


def _written(table: RouteTable, location: Location, context: RouteContext) -> _Written:
    route = _Written(table, None, location, context)
    if table.path is None:
        if not context.report.has(location) and not context.report.has((*location, "path")):
            route.add("path", "nothing", "a path such as '/files/{key:path}'")
        return route
    if table.path in context.reserved_paths:
        route.add_value("path", table.path, "another path: the gateway itself answers this one")
    try:
        return _Written(table, RouteTemplate.parse(table.path), location, context)
    except TemplateError as exc:
        route.add_value("path", exc.found, exc.allowed)
        return route


def _check_shapes(paths: Sequence[RouteTemplate | None], report: Report) -> None:
    first: dict[str, int] = {}
    for index, path in enumerate(paths):
        if path is None:
            continue
        taken = first.setdefault(path.shape, index)
        if taken != index:
            other = ("routes", taken, "path")
            place = f"{dotted(other)} on line {report.lines.line_of(other)}"
            report.add_value(
                ("routes", index, "path"), path.text, f"a path unlike {place}, which matches the same"
            )


def _build_route(route: _Written) -> RouteConfig | None:
    table, report = route.table, route.context.report
    target = _target(route)
    headers = read_fields(table.headers, ANSWER_FIELDS, (*route.location, "headers"), report)
    if route.path is None or target is None:
        return None
    return RouteConfig(
        path=route.path,
        target=target,
        media_type=table.media_type,
        summary=table.summary,
        description=table.description,
        filename=table.filename,
        # A name is for saving under: without a word on it, the file is to be saved.
        disposition=table.disposition or ("attachment" if table.filename else None),
        cache_control=table.cache_control,
        headers=headers,
    )


def _target(route: _Written) -> ObjectTemplate | UpstreamConfig | None:
    table, report = route.table, route.context.report
    if table.object is not None and table.upstream is not None:
        route.add("upstream", "both object and upstream", "one of them")
    reported = any(report.has((*route.location, key)) for key in ("object", "upstream"))
    if table.object is None and table.upstream is None and not reported:
        report.add(route.location, "neither object nor upstream", "one of them")
    found, upstream = _object(route), _upstream(route)
    return found or upstream


def _object(route: _Written) -> ObjectTemplate | None:
    if route.table.object is None:
        return None
    if route.table.upstream is None:
        for key in sorted(route.table.model_fields_set.intersection(_UPSTREAM_ONLY)):
            route.add(key, f"{key} on a route with object", "it on routes with upstream only")
    try:
        template = ObjectTemplate.parse(route.table.object)
    except TemplateError as exc:
        route.add_value("object", exc.found, exc.allowed)
        return None
    names = route.context.store_names
    if template.store not in names:
        known = one_of(names, template.store) if names else "a store that [stores.NAME] defines"
        route.add("object", f"the unknown store {template.store!r}", known)
    _check_placeholders(route, "object", template.names)
    return template


def _upstream(route: _Written) -> UpstreamConfig | None:
    table, context = route.table, route.context
    if table.upstream is None:
        return None
    headers_at, file_at = (*route.location, "request_headers"), (*route.location, "tls_verify")
    headers = read_fields(table.request_headers, REQUEST_FIELDS, headers_at, context.report)
    settings = table.model_dump(include={"connect_timeout", "read_timeout", "tls_verify"}, exclude_none=True)
    if isinstance(table.tls_verify, str):
        settings["tls_verify"] = existing_file(context.base, table.tls_verify, file_at, context.report)
    parameters = route.path.parameters if route.path is not None else ()
    spanning = frozenset(parameter.name for parameter in parameters if parameter.kind == PATH)
    try:
        template = UpstreamTemplate.parse(table.upstream, spanning=spanning)
    except TemplateError as exc:
        route.add_value("upstream", exc.found, exc.allowed)
        return None
    _check_placeholders(route, "upstream", template.names)
    return UpstreamConfig(template=template, request_headers=headers, **settings)


def _check_placeholders(route: _Written, key: str, names: frozenset[str]) -> None:
    if route.path is None:
        return
    declared = {parameter.name for parameter in route.path.parameters}
    for name in sorted(names - declared):
        allowed = one_of(declared, name) if declared else "no placeholder, for the path declares none"
        route.add(key, f"the placeholder {{{name}}}, which the path does not declare", allowed)
