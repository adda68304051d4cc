"""Reads a configuration, and finds every mistake in it."""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from .auth import build_auth
from .environment import expand_table
from .errors import ConfigError, Mistake, Report
from .limits import build_server_limits
from .lines import KeyLines
from .model import read_tables
from .routes import DOCUMENT_PATHS, HEALTH_PATHS, RouteContext, build_routes
from .serving import build_admin, build_gateway, build_tls, build_transfers
from .stores import build_store
from .tables import AuthTable, FileTable
from .values import AdminConfig, AuthType, Config

_SYNTAX_PLACE = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")


Check = Callable[[Config, Report], None]
"""Looks for further mistakes in a configuration that has none so far."""


def load_config(path: Path, environ: Mapping[str, str], check: Check | None = None) -> Config:
    """Read and check the file at `path`; raises `ConfigError` with every mistake."""
    return parse_config(_read(path), environ, name=str(path), check=check)


def load_admin(path: Path, environ: Mapping[str, str]) -> AdminConfig:
    """Read where the gateway of the file at `path` is looked after; raises `ConfigError`.

    Only mistakes in `[admin]` count, and only what that names must be in `environ`.
    """
    text, name = _read(path), str(path)
    document, report = _parse(text, name), Report(KeyLines(text))
    admin = {key: value for key, value in document.items() if key == "admin"}
    tables = read_tables(expand_table(admin, environ, report), report)
    if report.mistakes:
        raise ConfigError(name, report.mistakes)
    return build_admin(tables.admin)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        found = exc.strerror or type(exc).__name__
        raise ConfigError(str(path), [Mistake(None, "", found, "a file that can be read")]) from exc
    except UnicodeDecodeError as exc:
        found = f"a byte that is not UTF-8 at offset {exc.start}"
        raise ConfigError(str(path), [Mistake(None, "", found, "TOML, which is UTF-8")]) from exc


def parse_config(
    text: str, environ: Mapping[str, str], *, name: str = "sluicegate.toml", check: Check | None = None
) -> Config:
    """Check a TOML text; raises `ConfigError` with every mistake in it.

    `environ` answers `${NAME}`. `name` is the file's path for messages, and relative files and folders in the
    text are looked for beside it.
    """
    document = _parse(text, name)
    report = Report(KeyLines(text))
    tables = read_tables(expand_table(document, environ, report), report)
    config = _build(tables, document, Path(name).parent, report)
    if not report.mistakes and check is not None:
        check(config, report)
    if report.mistakes:
        raise ConfigError(name, report.mistakes)
    return config


def _parse(text: str, name: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        mistake = _syntax_mistake(str(exc), text)
    # Raised out here: the parser's own exception says no more.
    raise ConfigError(name, [mistake])


def _syntax_mistake(message: str, text: str) -> Mistake:
    place = _SYNTAX_PLACE.search(message)
    reason = f"a TOML syntax error: {message[: place.start()] if place else message}"
    if place is None or place[1] is None:
        return Mistake(text.count("\n") + 1 if place else None, "", reason, "valid TOML 1.0")
    return Mistake(int(place[1]), "", reason, "valid TOML 1.0", int(place[2]))


def _build(tables: FileTable, document: Mapping[str, object], base: Path, report: Report) -> Config:
    stores = {name: build_store(name, table, base, report) for name, table in tables.stores.items()}
    if not tables.routes and not report.has(("routes",)):
        report.add(("routes",), "nothing", "at least one [[routes]] table")
    auth = {name: build_auth(name, table, base, report) for name, table in tables.auth.items()}
    gateway = build_gateway(tables.gateway, is_guarded=bool(auth))
    context = RouteContext(
        store_names=_names(document, "stores"),
        auth_kinds={name: _kind(tables.auth.get(name)) for name in _names(document, "auth")},
        defaults=tables.defaults,
        reserved_paths=frozenset(HEALTH_PATHS + (DOCUMENT_PATHS if gateway.openapi else ())),
        base=base,
        report=report,
    )
    return Config(
        stores={name: store for name, store in stores.items() if store is not None},
        routes=build_routes(tables.routes, context),
        auth={name: way for name, way in auth.items() if way is not None},
        limits=build_server_limits(tables.limits, report),
        gateway=gateway,
        transfers=build_transfers(tables.transfers),
        admin=build_admin(tables.admin),
        tls=build_tls(tables.tls, base, report),
    )


def _names(document: Mapping[str, object], key: str) -> frozenset[str]:
    """The names in `[KEY.NAME]`, also of tables that are wrong: naming one of those is no further mistake."""
    written = document.get(key)
    return frozenset(written if isinstance(written, dict) else ())


def _kind(table: AuthTable | None) -> AuthType | None:
    return None if table is None else table.type
