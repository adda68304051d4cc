"""How to reach a store: its location, and the options that every client understands alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from sluicegate.errors import SluicegateError
from sluicegate.http.addresses import parse_network
from sluicegate.http.fields import flaw_in_line
from sluicegate.sources.redirects import parse_host_pattern

Scheme = Literal["s3", "gs", "az", "file", "memory"]
DAY: Final = 86400.0

SCHEMES: Final[tuple[Scheme, ...]] = ("s3", "gs", "az", "file", "memory")


class BadOptions(SluicegateError, ValueError):
    """A location or an option that cannot be used; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store is: `bucket` is the bucket or container, or the folder for `file://`.

    `prefix` stands before every key, and ends in `/` unless it is empty.
    """

    scheme: Scheme
    bucket: str
    prefix: str = ""

    def key(self, key: str) -> str:
        """The key inside the bucket."""
        return self.prefix + key

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def parse_location(url: str) -> Location:
    """The location that a URL names: `s3://bucket/prefix`, `file:///folder`, `memory://` ...

    Raises `BadOptions` for anything else, and `TypeError` for what is no text.
    """
    if not isinstance(url, str):
        raise TypeError(
            f"url is text such as 's3://bucket', got {type(url).__name__}: of a folder, give Path.as_uri()"
        )
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise BadOptions(f"{url!r} is no URL: {exc}") from exc
    match parts.scheme:
        case "file":
            if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
                raise BadOptions(
                    f"{url!r} must name an absolute folder, with '?' and '#' as %3F and %23: file:///srv/files"
                )
            return Location("file", unquote(parts.path))
        case "memory":
            return Location("memory", "")
        case "s3" | "gs" | "az":
            if "@" in parts.netloc:
                raise BadOptions(f"{parts.scheme}://...@...: credentials are options, and no part of the URL")
            if not parts.netloc or parts.query or parts.fragment:
                raise BadOptions(
                    f"{url!r} must name a bucket: {parts.scheme}://bucket or {parts.scheme}://bucket/prefix"
                )
            prefix = parts.path.strip("/")
            return Location(parts.scheme, parts.netloc, f"{prefix}/" if prefix else "")
        case _:
            allowed = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise BadOptions(f"{url!r} has no scheme that is known here: {allowed}")


_CREDENTIALS: Final = (
    "access_key_id",
    "secret_access_key",
    "session_token",
    "account_name",
    "account_key",
    "sas_token",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Options of a store. What is `None` comes from the provider's usual environment or its default.

    Credentials: with `access_key_id` and `secret_access_key` (and `session_token`) those; with `profile`
    that profile of the shared AWS files; with `anonymous` none; otherwise the usual chain of the provider:
    environment, profile, web identity, container, instance.

    `region` and `endpoint_url` of S3 come from the options, else from the environment (`AWS_REGION` or
    `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`), else from the shared AWS files. What
    those files say is read by the `botocore` extra alone.

    `tls_verify` is true, false, or the path of a file of CA certificates (PEM). Times are in seconds:
    `connect_timeout` to connect, `read_timeout` without any progress. No limit is on the whole of a body.
    `attempts` is how often a request that failed before its first byte is made in all.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    anonymous: bool = False
    addressing: Literal["path", "virtual"] = "path"
    tls_verify: bool | str = True
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    attempts: int = 3
    max_connections: int = 256
    account_name: str | None = None
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    service_account_file: str | None = None

    def __post_init__(self) -> None:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise BadOptions("access_key_id and secret_access_key belong together: give both or neither")
        if self.session_token is not None and self.access_key_id is None:
            raise BadOptions("session_token needs access_key_id and secret_access_key beside it")
        if self.anonymous and (self.access_key_id or self.profile):
            raise BadOptions("anonymous excludes access_key_id and profile")
        for name in _CREDENTIALS:
            check_credential(name, getattr(self, name))
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)
        if self.addressing not in ("path", "virtual"):
            raise BadOptions(f'addressing is "path" or "virtual", got {self.addressing!r}')
        _check_limits(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How to reach an HTTP API. Times are in seconds, and limit progress, never a whole body.

    `headers` go out with every request (an API key, say). `tls_verify` is true, false, or the path of a
    file of CA certificates (PEM). With `encoded_keys` a key is what follows the base address on the wire,
    percent-encoded and with its query, if any; without, it is text, and encoded by the source.
    `attempts` is how often a request that failed before its answer is made in all.

    `redirects` are the hosts that the API may send us to besides itself: `cdn.example.com`, or
    `*.example.com` for every name below it, with `:port` behind it unless it is the default one. They see
    neither `headers` nor a client's own fields, and must have public addresses, or addresses in
    `allow_networks` (`10.0.0.0/8`). The base address may have any, unless `public_only`. `tls_verify`
    holds for all of them.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls_verify: bool | str = True
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    attempts: int = 3
    max_connections: int = 256
    encoded_keys: bool = False
    redirects: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    public_only: bool = False

    def __post_init__(self) -> None:
        _check_limits(self)
        _check_each("redirects", self.redirects, parse_host_pattern)
        _check_each("allow_networks", self.allow_networks, parse_network)


def check_credential(name: str, value: str | None) -> None:
    """Raise `BadOptions` unless `value` can stand in a request, or is none. The message does not show it."""
    if value is None:
        return
    if not isinstance(value, str):
        raise BadOptions(f"{name} is text, got {type(value).__name__}")
    if (flaw := flaw_in_line(value)) is not None:
        raise BadOptions(f"{name} has {flaw}, and cannot be sent")


def _check_each(name: str, texts: tuple[str, ...], parse: Callable[[str], object]) -> None:
    if isinstance(texts, str):
        raise BadOptions(f"{name} is a sequence of texts, got the text {texts!r}")
    for text in texts:
        try:
            parse(text)
        except ValueError as exc:
            raise BadOptions(f"{name}: {exc}") from exc


def _check_endpoint(url: str) -> None:
    # The address stays out of the messages: what is none may hold a secret.
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as exc:
        raise BadOptions(f"endpoint_url is no address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise BadOptions("endpoint_url is http://host:port or https://host:port, without user and password")


def _check_limits(options: StoreOptions | HttpOptions) -> None:
    for name, seconds in (
        ("connect_timeout", options.connect_timeout),
        ("read_timeout", options.read_timeout),
    ):
        check_seconds(name, seconds)
    check_count("attempts", options.attempts, 1)
    check_count("max_connections", options.max_connections, 1)


def check_seconds(name: str, seconds: object) -> None:
    """Raise `BadOptions` unless the option `name` is a time that somebody may wait."""
    if not isinstance(seconds, int | float) or not 0 < seconds < DAY:
        raise BadOptions(f"{name} is in seconds, above 0 and below a day, got {seconds!r}")


def check_count(name: str, count: object, least: int, unit: str = "") -> None:
    """Raise `BadOptions` unless the option `name` is a whole number, at least `least`."""
    if not isinstance(count, int) or count < least:
        whole = f"a whole number of {unit}" if unit else "a whole number"
        raise BadOptions(f"{name} is {whole}, at least {least}, got {count!r}")


def check_kind(name: str, value: object, kind: type) -> None:
    """Raise `TypeError` unless the argument `name` is of `kind`."""
    if not isinstance(value, kind):
        found, wanted = type(value).__name__, kind.__name__
        raise TypeError(f"{name} is of type {wanted}, got {found}: give {wanted}(...)")


DEFAULT_OPTIONS: Final = StoreOptions()
DEFAULT_HTTP_OPTIONS: Final = HttpOptions()
