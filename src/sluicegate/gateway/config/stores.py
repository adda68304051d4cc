"""From the tables of `[stores.NAME]` to checked stores: URLs, options by kind, what excludes what."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

from sluicegate.http.paths import has_control, has_dot_piece

from ..targets import UpstreamTemplate
from ..templates import TemplateError
from .errors import Report
from .files import existing_file, existing_folder
from .kinds import TABLE_NAME
from .lines import Location
from .tables import StoreTable
from .values import StoreConfig

_EVERYWHERE = frozenset({"url", "client", "probe"})
_REMOTE = _EVERYWHERE | {"endpoint_url", "anonymous", "tls_verify", "connect_timeout", "read_timeout"}
_OF_S3 = {"region", "access_key_id", "secret_access_key", "session_token", "profile", "addressing"}

KEYS_BY_SCHEME = {
    "s3": _REMOTE | _OF_S3,
    "gs": _REMOTE | {"service_account_file"},
    "az": _REMOTE | {"account_name", "account_key", "sas_token"},
    "file": _EVERYWHERE,
    "memory": _EVERYWHERE,
}

# The first, where it is there, leaves no place for the others.
_EXCLUSIVE = (
    ("anonymous", ("access_key_id", "profile", "account_key", "sas_token", "service_account_file")),
    ("profile", ("access_key_id",)),
    ("account_key", ("sas_token",)),
)
# The first is of no use without the second.
_TOGETHER = (
    ("access_key_id", "secret_access_key"),
    ("secret_access_key", "access_key_id"),
    ("session_token", "access_key_id"),
)

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_URL_FORMS = "s3://BUCKET, gs://BUCKET or az://CONTAINER with or without /PREFIX, file:///FOLDER or memory://"


def build_store(name: str, table: StoreTable, base: Path, report: Report) -> StoreConfig | None:
    """Return the store of a table, or None where its URL cannot be used; relative files are below `base`."""
    location: Location = ("stores", name)
    if not TABLE_NAME.fullmatch(name):
        report.add(location, repr(name), "a name of ASCII letters, digits, '_' and '-'")
    _check_combinations(table, location, report)
    _check_endpoint(table.endpoint_url, (*location, "endpoint_url"), report)
    settings = table.model_dump(exclude_none=True)
    for key in ("tls_verify", "service_account_file"):
        if isinstance(settings.get(key), str):
            settings[key] = existing_file(base, settings[key], (*location, key), report)
    scheme = _scheme(table.url, (*location, "url"), report)
    if scheme is None or table.url is None:
        return None
    _check_keys(scheme, table, location, report)
    settings["url"] = _url(scheme, table.url, base, (*location, "url"), report)
    return StoreConfig(name=name, **settings)


def _check_combinations(table: StoreTable, location: Location, report: Report) -> None:
    given = {key for key, value in table if value not in (None, False)}
    bad = {key for key in type(table).model_fields if report.has((*location, key))}
    for key, others in _EXCLUSIVE:
        for other in given.intersection(others) if key in given else ():
            report.add((*location, other), f"both {key} and {other}", "one of them")
    for key, needed in _TOGETHER:
        if key in given and needed not in given | bad:
            report.add((*location, key), f"{key} alone", f"{needed} beside it, or neither")


def _check_endpoint(url: str | None, location: Location, report: Report) -> None:
    if url is None:
        return
    try:
        endpoint = UpstreamTemplate.parse(url)
    except TemplateError as exc:
        report.add(location, repr(exc.found), exc.allowed)
        return
    if endpoint.names or endpoint.query:
        report.add_value(location, url, "a literal URL without a query: a request never chooses the endpoint")


def _scheme(url: str | None, location: Location, report: Report) -> str | None:
    if url is None:
        if not report.has(location):
            report.add(location, "nothing", _URL_FORMS)
        return None
    scheme, separator, _ = url.partition("://")
    if separator and scheme in KEYS_BY_SCHEME:
        return scheme
    report.add_value(location, url, _URL_FORMS)
    return None


def _check_keys(scheme: str, table: StoreTable, location: Location, report: Report) -> None:
    for key in sorted(table.model_fields_set - KEYS_BY_SCHEME[scheme]):
        homes = " and ".join(f"{name}://" for name, keys in KEYS_BY_SCHEME.items() if key in keys)
        report.add((*location, key), f"{key} for a {scheme}:// store", f"it for {homes} only")
    if scheme != "s3" and table.client not in (None, "obstore"):
        report.add((*location, "client"), f"{table.client!r} for a {scheme}:// store", "'obstore'")


def _url(scheme: str, url: str, base: Path, location: Location, report: Report) -> str:
    """Return the URL as sources read it, with an absolute folder; what is wrong is reported."""
    place = url.removeprefix(f"{scheme}://")
    if scheme == "file":
        return _folder_url(place, base, location, report)
    allowed = _memory_problem(place) if scheme == "memory" else _bucket_problem(place)
    if allowed is not None:
        report.add_value(location, url, allowed)
    return url


def _folder_url(place: str, base: Path, location: Location, report: Report) -> str:
    if not place.startswith(("/", "./", "../")) or any(char in place for char in "?#"):
        allowed = "file:///FOLDER, or file://./FOLDER for one beside this file; '?' and '#' percent-encoded"
        report.add_value(location, f"file://{place}", allowed)
        return f"file://{place}"
    folder = existing_folder(base, unquote(place), location, report)
    return f"file://{quote(str(folder))}"


def _memory_problem(place: str) -> str | None:
    return "memory:// with nothing behind it" if place else None


def _bucket_problem(place: str) -> str | None:
    bucket, _, prefix = place.partition("/")
    if "{" in place or "}" in place:
        return "a literal bucket and prefix: a request never chooses them"
    if not _BUCKET.fullmatch(bucket):
        return "the name of a bucket or container: ASCII letters, digits, '.', '_' and '-'"
    segments = prefix.strip("/").split("/") if prefix else ["-"]
    if "" in segments or any(has_control(part) or has_dot_piece(part) for part in segments):
        return "a prefix without '//', '.' and '..' segments and control characters"
    if any(char in prefix for char in "?#"):
        return "a URL without '?' and '#'"
    return None
