"""What credentials say of themselves, and what a store says of them. Pure: no secret leaves this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs

from sluicegate.errors import (
    Denied,
    OriginTimeout,
    SourceError,
    Throttled,
    Unavailable,
)

from ..config import StoreConfig
from ..origin_codes import status_and_code
from .findings import Finding, note, ok, problem, warning

EXPIRES_SOON: Final = timedelta(days=7)
"""Whoever has to write new credentials into a file needs a working week to do it."""

# A SAS token's times: a date, and mostly a time of day in UTC.
_SAS_FORMATS: Final = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")

_RENEW: Final = "get new temporary credentials, or let a profile or a role refresh them"
_COMPARE_KEYS: Final = "check secret_access_key, and that no proxy changes the request's host or path"
_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "ExpiredToken": ("the session token has expired", _RENEW),
    "TokenRefreshRequired": ("the session token has expired", _RENEW),
    "InvalidToken": ("the session token is not valid", "check session_token: it belongs to one access key"),
    "InvalidAccessKeyId": (
        "the store does not know the access key",
        "check access_key_id and endpoint_url: keys of one service mean nothing to another",
    ),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _COMPARE_KEYS),
    "RequestTimeTooSkewed": (
        "this machine's clock is too far from the store's",
        "set the clock, and keep it by NTP (timedatectl set-ntp true)",
    ),
    "AuthorizationHeaderMalformed": ("the region is wrong", "set region to that of the bucket"),
    "AuthenticationFailed": ("the key or the SAS token is refused", "check account_key or sas_token"),
    "PermanentRedirect": ("the bucket is elsewhere", "set region and endpoint_url to those of the bucket"),
    "AllAccessDisabled": ("the account is blocked", "ask the provider why"),
    "InvalidPayer": ("the account is blocked", "ask the provider why"),
    "NoSuchBucket": ("there is no such bucket", "check the name in url, the region and the account"),
    "ContainerNotFound": ("there is no such container", "check the name in url and account_name"),
}
"""What codes of S3 and Azure mean that say more than that something is not allowed."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What botocore's chain came up with: how, and until when; `refreshed` if it gets new ones by itself."""

    method: str
    temporary: bool
    refreshed: bool
    expires: datetime | None = None


def judge_given(store: StoreConfig, now: datetime) -> Finding | None:
    """What the configuration's own credentials say; `None` where it has none."""
    if store.anonymous:
        return note("requests are not signed (anonymous = true): only what is public can be read")
    if store.session_token is not None:
        return warning(
            "the configuration holds temporary credentials: they end, and nothing here can renew them",
            "use a profile or a role, which are refreshed, or keys that do not end",
        )
    if store.access_key_id is not None:
        return ok("credentials: access_key_id and secret_access_key of the configuration")
    if store.sas_token is not None:
        return judge_sas(store.sas_token, now)
    if store.account_key is not None:
        return ok("credentials: account_key of the configuration")
    if store.service_account_file is not None:
        return ok("credentials: service_account_file of the configuration")
    return None


def judge_sas(token: str, now: datetime) -> Finding:
    """When a SAS token ends, which it tells itself (`se=`)."""
    expires = _sas_expiry(token)
    if expires is None:
        return note(
            "the SAS token tells no end (se=): a stored access policy may set one",
            "look the policy up, and note when it ends",
        )
    return _judge_expiry("the SAS token", expires, now, "make a new one and put it into sas_token")


def judge_found(found: Credentials | None, now: datetime) -> Finding:
    """What the provider's usual chain came up with."""
    if found is None:
        return warning(
            "no credentials: neither the configuration, nor the environment, nor a profile has any",
            "set access_key_id and secret_access_key, or a profile; for a public bucket anonymous = true",
        )
    what = f"the credentials (by {found.method})"
    if found.refreshed:
        until = "" if found.expires is None else f", at present until {found.expires:%Y-%m-%d %H:%M} UTC"
        return ok(f"{what} are refreshed by themselves{until}")
    if found.expires is not None:
        return _judge_expiry(what, found.expires, now, _RENEW)
    if found.temporary:
        return warning(f"{what} are temporary, and do not tell when they end", _RENEW)
    return ok(f"{what} do not end")


def _judge_expiry(what: str, expires: datetime, now: datetime, advice: str) -> Finding:
    moment = f"{expires:%Y-%m-%d %H:%M} UTC"
    if expires <= now:
        return problem(f"{what} ended at {moment}", advice)
    if expires - now < EXPIRES_SOON:
        return warning(f"{what} will end soon, at {moment}", advice)
    return ok(f"{what} last until {moment}")


def _sas_expiry(token: str) -> datetime | None:
    text = parse_qs(token.removeprefix("?")).get("se", [""])[0]
    for form in _SAS_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def is_of_all_requests(error: SourceError) -> bool:
    """Whether a failure says that all other requests will fail too.

    It does not where it may be about this one alone: not allowed, no such object, too slow for once.
    """
    status, code = status_and_code(error)
    if code in _CODES:
        return True
    return (isinstance(error, Unavailable) and status is None) or (
        isinstance(error, Denied) and status in (None, 401)
    )


def judge_failure(error: SourceError, *, identified: bool = True) -> Finding:
    """What a failure of a request says of the service, and of the credentials if it had any."""
    status, code = status_and_code(error)
    if (known := _CODES.get(code or "")) is not None:
        return problem(f"{known[0]} ({error})", known[1])
    match error:
        case Denied() if status is None and not identified:
            return problem(
                f"it may not be read ({error})", "check its permissions, and whom this command runs as"
            )
        case Denied() if status is None:
            # Nothing was asked: there was nothing to sign with.
            return problem(f"no credentials can be had ({error})", "check the profile, or log in again")
        case Denied():
            return problem(f"the credentials are not accepted ({error})", "check them, and what they allow")
        case Throttled():
            return warning(f"the service asks for fewer requests ({error})", "try again later")
        case OriginTimeout():
            return problem(
                f"the service does not answer in time ({error})", "check the network, and its load"
            )
        case Unavailable():
            return problem(f"the service is unavailable ({error})", "check the endpoint, and its own log")
        case _:
            return problem(
                f"the service gives a bad answer ({error})", "check region, addressing and endpoint"
            )
