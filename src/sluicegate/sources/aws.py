"""What the S3 clients share: botocore's settings, parameters and answers, and its errors as ours.

The one place that knows botocore's credential chain; obstore borrows it for profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import botocore.exceptions as boto
import botocore.session
from botocore import UNSIGNED
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    Denied,
    InvalidKey,
    NotFound,
    OriginTimeout,
    SourceError,
    Throttled,
    Unavailable,
)
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.fields import number
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span, format_range, parse_content_range
from sluicegate.sources.aws_settings import check_environment, given_region
from sluicegate.sources.base import OpenRequest, check_key
from sluicegate.sources.headers import describe, error_for_status, span_of
from sluicegate.sources.options import BadOptions, Location, StoreOptions
from sluicegate.sources.translation import by_table

DEFAULT_REGION: Final = "us-east-1"

CREDENTIALS_LIFETIME: Final = timedelta(minutes=5)
"""How long obstore keeps credentials of a profile before it asks botocore again, which refreshes them."""

ERRORS: Final[tuple[tuple[type[Exception], type[SourceError]], ...]] = (
    # The first row that fits wins, so subclasses stand above their bases.
    (boto.ConnectTimeoutError, OriginTimeout),
    (boto.ReadTimeoutError, OriginTimeout),
    (boto.IncompleteReadError, BrokenBody),
    (boto.ResponseStreamingError, BrokenBody),
    (boto.ChecksumError, BrokenBody),
    (boto.FlexibleChecksumError, BrokenBody),
    (boto.ParamValidationError, InvalidKey),
    (boto.NoCredentialsError, Denied),
    (boto.PartialCredentialsError, Denied),
    (boto.CredentialRetrievalError, Denied),
    (boto.RefreshWithMFAUnsupportedError, Denied),
    (boto.MetadataRetrievalError, Denied),
    (boto.NoAuthTokenError, Denied),
    (boto.TokenRetrievalError, Denied),
    (boto.SSOError, Denied),
    # Newer than the oldest botocore that is supported.
    *((kind, Denied) for kind in [getattr(boto, "LoginError", None)] if kind is not None),
    (boto.CapacityNotAvailableError, Throttled),
    (boto.ConnectionError, Unavailable),
    (boto.HTTPClientError, Unavailable),
    (boto.BotoCoreError, BadAnswer),
)

BOTO_ERRORS: Final = (boto.BotoCoreError, ResponseParserError, ValueError)
"""What botocore raises beside `ClientError`: its own tree, and what its parser makes of broken answers."""

_SERVED: Final = frozenset({200, 203, 206})


def client_settings(options: StoreOptions) -> dict[str, Any]:
    """Keyword arguments for botocore's `Config`."""
    return {
        "connect_timeout": options.connect_timeout,
        "read_timeout": options.read_timeout,
        "max_pool_connections": options.max_connections,
        "retries": {"total_max_attempts": options.attempts, "mode": "standard"},
        "s3": {"addressing_style": options.addressing},
        # botocore 1.36 began to demand checksums that S3-compatible stores do not know.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "signature_version": UNSIGNED if options.anonymous else None,
    }


def client_arguments(session: Any, options: StoreOptions) -> dict[str, Any]:
    """Keyword arguments for `create_client("s3", ...)` beside `config`. Raises `BadOptions`."""
    check_environment(options)
    return {
        "region_name": given_region(options) or session.get_config_variable("region") or DEFAULT_REGION,
        "endpoint_url": options.endpoint_url,
        "aws_access_key_id": options.access_key_id,
        "aws_secret_access_key": options.secret_access_key,
        "aws_session_token": options.session_token,
        "verify": options.tls_verify,
    }


def share_models(session: Any) -> None:
    """Let all sessions of the process share botocore's description of S3, which is read for each otherwise.

    It is megabytes of JSON: most of the time that a client takes to be made, and of the memory that it holds.
    """
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))


@cache
def _loader(search_path: str | None) -> Loader:
    return create_loader(search_path)


def ask_for_region_once(client: Any) -> None:
    """Keep botocore from asking a store that redirects everything for its region, without end.

    An answer that redirects makes botocore send a `HeadBucket`, and so does a redirect of that.
    """
    client.meta.events.register("before-call.s3.HeadBucket", _redirected_before)


def _redirected_before(context: dict[str, Any], **_: object) -> None:
    context.setdefault("s3_redirect", {})["redirected"] = True


def parameters(location: Location, key: str, request: OpenRequest) -> dict[str, Any]:
    """Keyword arguments for `get_object` and `head_object`."""
    conditions = request.conditions
    chosen = {
        "Bucket": location.bucket,
        "Key": check_key(location.key(check_key(key))),
        "Range": None if request.range is None else format_range(request.range),
        "IfMatch": None if conditions.if_match is None else str(conditions.if_match),
        "IfNoneMatch": None if conditions.if_none_match is None else str(conditions.if_none_match),
        "IfModifiedSince": conditions.if_modified_since,
        "IfUnmodifiedSince": conditions.if_unmodified_since,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def describe_response(response: Mapping[str, Any], what: str) -> tuple[Metadata, Span | None]:
    """The metadata and the span of a successful `get_object` or `head_object`."""
    fields, status = _http(response)
    if status not in _SERVED:
        raise BadAnswer(f"{what}: status {status}")
    # An answer that broke off in its header, or whose end nothing but the connection's end would tell.
    if "Body" in response and not _has_an_end(fields):
        raise BadAnswer(f"{what}: no valid Content-Length")
    return span_of(*describe(fields, ranges=True), fields, status, what)


def outcome_of(exc: boto.ClientError, what: str) -> NotModified | PreconditionFailed | Unsatisfiable:
    """304, 412 and 416 as outcomes; raises the `SourceError` for any other answer."""
    fields, status = _http(exc.response)
    code = str(exc.response.get("Error", {}).get("Code", ""))
    said = f"{what}: {status}" if code == str(status) else f"{what}: {status} {code}"
    match status:
        case 304:
            return NotModified(describe(fields, ranges=True)[0])
        case 412:
            return PreconditionFailed()
        case 416:
            place = parse_content_range(fields.get("content-range", ""))
            return Unsatisfiable(None if place is None else place.size)
        case 404:
            raise NotFound(said) from exc
        case 400 if code in ("KeyTooLongError", "InvalidURI", "InvalidArgument"):
            raise InvalidKey(said) from exc
        case _:
            raise error_for_status(status, said, fields) from exc


def translate(exc: Exception, what: str) -> SourceError:
    """Our error for one of botocore's."""
    # The class itself stands for what has no class of its own: broken HTTP.
    if type(exc) is boto.HTTPClientError:
        return BadAnswer(f"{what}: {type(getattr(exc, 'kwargs', {}).get('error', exc)).__name__}")
    return by_table(ERRORS, exc, what)


def _has_an_end(fields: Mapping[str, str]) -> bool:
    return number(fields.get("content-length")) is not None or "transfer-encoding" in fields


def _http(response: Mapping[str, Any]) -> tuple[dict[str, str], int]:
    metadata = response.get("ResponseMetadata", {})
    fields = {str(name).lower(): str(value) for name, value in metadata.get("HTTPHeaders", {}).items()}
    return fields, int(metadata.get("HTTPStatusCode", 0))


class SharedFiles:
    """What the shared AWS configuration files say of a profile, or without one. Raises `BadOptions`."""

    def __init__(self, profile: str | None) -> None:
        self._session = botocore.session.Session(profile=profile)
        try:
            self._settings = self._session.get_scoped_config()
        except boto.ProfileNotFound as exc:
            raise BadOptions(f"{self._named} is not in the shared AWS configuration files") from exc
        except boto.BotoCoreError as exc:
            raise BadOptions(f"the shared AWS configuration files cannot be read: {exc}") from exc

    @property
    def region(self) -> str | None:
        """The region to sign for."""
        region: str | None = self._settings.get("region")
        return region

    @property
    def endpoint_url(self) -> str | None:
        """The address for S3, or for all services."""
        if self._session.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        services = self._session.full_config.get("services", {}).get(self._settings.get("services"), {})
        endpoint_url: str | None = services.get("s3", {}).get("endpoint_url")
        return endpoint_url or self._settings.get("endpoint_url")

    def credentials(self) -> ProfileCredentials | None:
        """The credentials that botocore finds, if any."""
        try:
            credentials = self._session.get_credentials()
        except boto.BotoCoreError as exc:
            # Its text may hold what a credential_process has printed.
            what = type(exc).__name__
            raise BadOptions(f"credentials of the shared AWS configuration files: {what}") from exc
        if credentials is not None:
            return ProfileCredentials(credentials)
        if self._session.profile is None:
            return None
        raise BadOptions(f"{self._named} has no credentials in the shared AWS configuration files")

    @property
    def _named(self) -> str:
        return f"profile {self._session.profile!r}"


class ProfileCredentials:
    """Credentials of botocore's chain for obstore, which knows no profiles. Refreshed as they expire."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def __call__(self) -> dict[str, Any]:
        """What obstore's `credential_provider` returns."""
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + CREDENTIALS_LIFETIME,
        }
