"""From the tables of `[auth.NAME]` to checked ways of showing who one is: which keys belong to which type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sluicegate.access.bearer_options import BearerOptions
from sluicegate.access.forward_options import ForwardOptions
from sluicegate.access.links import LinkOptions
from sluicegate.errors import SluicegateError

from .errors import Report, one_of
from .files import existing_file, existing_folder
from .headers import REQUEST_FIELDS, read_fields
from .kinds import TABLE_NAME
from .lines import Location
from .tables import AuthTable
from .values import (
    PUBLIC,
    ApiKeyAuth,
    AuthConfig,
    AuthType,
    BasicAuth,
    ForwardAuthConfig,
    JwtAuth,
    SignedAuth,
)
from .verifiers import verifier_of

_KEYS: Mapping[AuthType, frozenset[str]] = {
    "signed": frozenset(
        {"keys", "parameter", "cookie", "cookie_for_prefix", "insecure_cookie", "revoked_file"}
    ),
    "jwt": frozenset(
        {
            *("issuer", "audience", "jwks_url", "key_file", "algorithms", "leeway", "required_claims"),
            *("realm", "parameter", "cookie", "tls_verify"),
        }
    ),
    "api_key": frozenset({"keys", "header", "parameter", "realm"}),
    "basic": frozenset({"users", "realm"}),
    "forward": frozenset(
        {
            *("url", "timeout", "cache_seconds", "forward_fields", "request_headers", "key_field"),
            *("subject_field", "claim_fields", "tls_verify"),
        }
    ),
}

_NEEDED: Mapping[AuthType, tuple[str, ...]] = {
    "signed": ("keys",),
    "jwt": ("issuer", "audience", "algorithms"),
    "api_key": ("keys",),
    "basic": ("users",),
    "forward": ("url",),
}

_OPTIONS: Mapping[str, str] = {
    "leeway_seconds": "leeway",
    "timeout_seconds": "timeout",
    "request_fields": "request_headers",
}
"""Keys by the names of their options, where those differ."""

_HOLDING: Mapping[AuthType, str] = {"signed": "keys", "api_key": "keys", "basic": "users"}
"""Where the secrets of a type stand."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A table as it is written, and where its mistakes go."""

    name: str
    table: AuthTable
    base: Path
    report: Report

    @property
    def location(self) -> Location:
        return ("auth", self.name)

    def file(self, key: str, name: str) -> str:
        return existing_file(self.base, name, (*self.location, key), self.report)

    def given(self, **keys: str) -> dict[str, object]:
        """The values of those keys that are written, by the names that options have for them."""
        written = {option: getattr(self.table, key) for option, key in keys.items()}
        return {option: value for option, value in written.items() if value is not None}


def build_auth(name: str, table: AuthTable, base: Path, report: Report) -> AuthConfig | None:
    """Return what a table says, or None where it cannot be used; relative files are below `base`."""
    written = _Written(name, table, base, report)
    if not TABLE_NAME.fullmatch(name) or name == PUBLIC:
        report.add(
            written.location, repr(name), f"a name of letters, digits, '_' and '-', other than {PUBLIC!r}"
        )
    if table.type is None:
        if not report.has((*written.location, "type")):
            report.add((*written.location, "type"), "nothing", one_of(_KEYS))
        return None
    if not _has_its_keys(written, table.type):
        return None
    try:
        auth = _BUILDERS[table.type](written)
        # Made to be checked: what it cannot use, it says.
        verifier_of(auth)
    except SluicegateError as exc:
        _add_reason(written, table.type, str(exc))
        return None
    return auth


def _add_reason(written: _Written, kind: AuthType, reason: str) -> None:
    """Note a reason at the key that it begins with; else at what most of them are about, or at the table."""
    option = reason.partition(" ")[0].rstrip(":")
    key = _OPTIONS.get(option, option)
    place = key if key in _KEYS[kind] else _HOLDING.get(kind)
    location = written.location if place is None else (*written.location, place)
    written.report.add_reason(location, reason.removeprefix(f"{option}: ") if place == key else reason)


def _has_its_keys(written: _Written, kind: AuthType) -> bool:
    report, before = written.report, len(written.report.mistakes)
    for key in sorted(written.table.model_fields_set - _KEYS[kind] - {"type"}):
        homes = " and ".join(other for other, keys in _KEYS.items() if key in keys)
        report.add((*written.location, key), f"{key} for type {kind!r}", f"it for {homes} only")
    missing = [key for key in _NEEDED[kind] if not getattr(written.table, key)]
    for key in missing:
        location = (*written.location, key)
        # A value that cannot be used has been told already, and is missing all the same.
        if not report.has(location):
            report.add(location, "nothing", f"{key}, which type {kind!r} needs")
    return not missing and len(report.mistakes) == before


def _signed(written: _Written) -> AuthConfig:
    table = written.table
    options = written.given(
        parameter="parameter",
        cookie="cookie",
        cookie_for_prefix="cookie_for_prefix",
        insecure_cookie="insecure_cookie",
    )
    revoked = None if table.revoked_file is None else (written.base / table.revoked_file).absolute()
    if revoked is not None:
        # The file may come later, by the first revocation.
        existing_folder(
            written.base, str(revoked.parent), (*written.location, "revoked_file"), written.report
        )
    for key_id, secrets in (table.keys or {}).items():
        if len(secrets) != 1:
            written.report.add((*written.location, "keys", key_id), "an array", "one secret for each key id")
    return SignedAuth(
        name=written.name,
        keys={key_id: secrets[0] for key_id, secrets in (table.keys or {}).items() if secrets},
        options=LinkOptions(**options),  # type: ignore[arg-type]
        revoked_file=None if revoked is None else str(revoked),
    )


def _jwt(written: _Written) -> AuthConfig:
    table = written.table
    options = written.given(
        issuer="issuer",
        audience="audience",
        algorithms="algorithms",
        leeway_seconds="leeway",
        cookie="cookie",
        parameter="parameter",
        realm="realm",
    )
    if table.jwks_url is not None and table.key_file is not None:
        written.report.add((*written.location, "key_file"), "both jwks_url and key_file", "one of them")
    return JwtAuth(
        name=written.name,
        options=BearerOptions(**options, required_claims=dict(table.required_claims or {})),  # type: ignore[arg-type]
        jwks_url=table.jwks_url,
        key_file=None if table.key_file is None else written.file("key_file", table.key_file),
        tls_verify=_verification(written),
    )


def _api_key(written: _Written) -> AuthConfig:
    settings = written.given(header="header", parameter="parameter", realm="realm")
    return ApiKeyAuth(name=written.name, keys=dict(written.table.keys or {}), **settings)  # type: ignore[arg-type]


def _basic(written: _Written) -> AuthConfig:
    settings = written.given(realm="realm")
    return BasicAuth(name=written.name, users=dict(written.table.users or {}), **settings)  # type: ignore[arg-type]


def _forward(written: _Written) -> AuthConfig:
    table = written.table
    location = (*written.location, "request_headers")
    options = written.given(
        url="url",
        timeout_seconds="timeout",
        cache_seconds="cache_seconds",
        forward_fields="forward_fields",
        key_field="key_field",
        subject_field="subject_field",
        claim_fields="claim_fields",
    )
    fields = read_fields(table.request_headers, REQUEST_FIELDS, location, written.report)
    return ForwardAuthConfig(
        name=written.name,
        options=ForwardOptions(
            **options,  # type: ignore[arg-type]
            request_fields=dict(fields),
            tls_verify=_verification(written),
        ),
    )


def _verification(written: _Written) -> bool | str:
    value = written.table.tls_verify
    return written.file("tls_verify", value) if isinstance(value, str) else value is not False


_BUILDERS: Mapping[AuthType, Callable[[_Written], AuthConfig]] = {
    "signed": _signed,
    "jwt": _jwt,
    "api_key": _api_key,
    "basic": _basic,
    "forward": _forward,
}
