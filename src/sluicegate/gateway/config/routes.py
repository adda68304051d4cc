"""From the tables of `[[routes]]` to checked routes: their paths, and what they lead to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluicegate import HttpOptions
from sluicegate.errors import SluicegateError
from sluicegate.http.fields import GUARDED_CACHE_CONTROL
from sluicegate.http.paths import has_control, has_dot_piece

from ..targets import CLAIM_PREFIX, ObjectTemplate, Placeholder, UpstreamTemplate
from ..templates import PATH, RouteTemplate, TemplateError
from .errors import Report, dotted, one_of
from .files import existing_file
from .headers import ANSWER_FIELDS, REQUEST_FIELDS, read_fields
from .limits import build_limits
from .lines import Location
from .sharing import build_cors
from .tables import CorsTable, DefaultsTable, RouteTable
from .values import PUBLIC, AuthType, RouteConfig, UpstreamConfig

HEALTH_PATHS = ("/healthz", "/readyz")
"""Paths that the gateway itself answers."""

DOCUMENT_PATHS = ("/docs", "/openapi.json")
"""Paths that the gateway itself answers, unless `openapi = false`."""

_UPSTREAM_ONLY = (
    *("connect_timeout", "read_timeout", "tls_verify", "request_headers"),
    *("redirects", "allow_networks", "public_only"),
)
_UPSTREAM_SETTINGS = set(_UPSTREAM_ONLY) - {"request_headers"}
_OBJECT_ONLY = ("stores", "key_prefixes")


@dataclass(frozen=True, slots=True)
class RouteContext:
    """What the routes of a file need to know of the rest of it, and where their mistakes go."""

    store_names: frozenset[str]
    auth_kinds: Mapping[str, AuthType | None]
    defaults: DefaultsTable
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
    target, auth = _target(route), _auth(route)
    headers = read_fields(table.headers, ANSWER_FIELDS, (*route.location, "headers"), report)
    cors = build_cors(*_cors(route), report)
    if route.path is None or target is None or auth is None:
        return None
    _check_claims(route, target, auth)
    return RouteConfig(
        path=route.path,
        target=target,
        media_type=table.media_type,
        summary=table.summary,
        description=table.description,
        filename=table.filename,
        # A name is for saving under: without a word on it, the file is to be saved.
        disposition=table.disposition or ("attachment" if table.filename else None),
        cache_control=table.cache_control or (GUARDED_CACHE_CONTROL if auth else None),
        headers=headers,
        auth=auth,
        methods=tuple(dict.fromkeys(table.methods or ("GET", "HEAD"))),
        stores=table.stores or (),
        key_prefixes=_key_prefixes(route),
        active_content=table.active_content or route.context.defaults.active_content or "sandbox",
        cors=cors,
        limits=build_limits(table.limits),
    )


def _cors(route: _Written) -> tuple[CorsTable | None, Location]:
    if route.table.cors is not None:
        return route.table.cors, (*route.location, "cors")
    return route.context.defaults.cors, ("defaults", "cors")


def _auth(route: _Written) -> tuple[str, ...] | None:
    """Return who may read; None where that is not said, or cannot be."""
    kinds, written, location = route.context.auth_kinds, route.table.auth, (*route.location, "auth")
    if written is None:
        written, location = route.context.defaults.auth, ("defaults", "auth")
    report = route.context.report
    if written is None:
        if kinds and not report.has((*route.location, "auth")) and not report.has(("defaults", "auth")):
            # Nothing is open by having been forgotten.
            allowed = f"one of: {', '.join(sorted(kinds))}; or {PUBLIC!r} for a route that anybody may read"
            report.add((*route.location, "auth"), "nothing, where there is an [auth.NAME]", allowed)
        return None if kinds else ()
    if written == (PUBLIC,):
        return ()
    for name in written:
        if name not in kinds and not report.has(location):
            known = one_of([*kinds, PUBLIC], name) if name != PUBLIC else "it alone, or names without it"
            report.add(location, repr(name), known)
    return None if report.has(location) else written


def _key_prefixes(route: _Written) -> tuple[str, ...]:
    prefixes = route.table.key_prefixes or ()
    for prefix in prefixes:
        if not prefix.endswith("/") or prefix.startswith("/") or has_control(prefix) or has_dot_piece(prefix):
            allowed = "prefixes such as 'public/', which end with a slash: 'a' would allow 'ab' too"
            route.add_value("key_prefixes", prefix, allowed)
    return prefixes


def _check_claims(route: _Written, target: ObjectTemplate | UpstreamConfig, auth: tuple[str, ...]) -> None:
    template = target if isinstance(target, ObjectTemplate) else target.template
    claims = sorted(name for name in template.names if name.startswith(CLAIM_PREFIX))
    if not claims:
        return
    key = "object" if isinstance(target, ObjectTemplate) else "upstream"
    if not auth:
        route.add(key, f"the claim {{{claims[0]}}} on a public route", "auth, which claims come from")
    for name in auth:
        if route.context.auth_kinds.get(name) == "signed":
            found = f"the claim {{{claims[0]}}}, where auth.{name} lets in whoever has a link"
            route.add(key, found, "ways to show who one is: a link is nobody in particular")


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
    _check_store(route, template)
    _check_placeholders(route, "object", template.names)
    return template


def _check_store(route: _Written, template: ObjectTemplate) -> None:
    names, allowed = route.context.store_names, route.table.stores or ()
    if isinstance(template.store, Placeholder):
        if not allowed:
            route.add("object", "a placeholder for the store", "stores, the list of those that it may name")
    elif allowed:
        route.add("stores", "stores on a route of one store", "it where the store is a placeholder")
    named = [("object", template.store)] if isinstance(template.store, str) else []
    for key, name in (*named, *(("stores", name) for name in allowed)):
        if name not in names:
            known = one_of(names, name) if names else "a store that [stores.NAME] defines"
            route.add(key, f"the unknown store {name!r}", known)


def _upstream(route: _Written) -> UpstreamConfig | None:
    table, context = route.table, route.context
    if table.upstream is None:
        return None
    headers_at, file_at = (*route.location, "request_headers"), (*route.location, "tls_verify")
    headers = read_fields(table.request_headers, REQUEST_FIELDS, headers_at, context.report)
    for key in sorted(table.model_fields_set.intersection(_OBJECT_ONLY)):
        route.add(key, f"{key} on a route with upstream", "it on routes with object only")
    settings = table.model_dump(include=_UPSTREAM_SETTINGS, exclude_none=True)
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
    try:
        # Made to be checked: what it cannot use, it says.
        HttpOptions(redirects=table.redirects or (), allow_networks=table.allow_networks or ())
    except SluicegateError as exc:
        context.report.add_reason((*route.location, "redirects"), str(exc))
    return UpstreamConfig(template=template, request_headers=headers, **settings)


def _check_placeholders(route: _Written, key: str, names: frozenset[str]) -> None:
    if route.path is None:
        return
    declared = {parameter.name for parameter in route.path.parameters}
    for name in sorted(name for name in names - declared if not name.startswith(CLAIM_PREFIX)):
        allowed = one_of(declared, name) if declared else "no placeholder, for the path declares none"
        route.add(key, f"the placeholder {{{name}}}, which the path does not declare", allowed)
