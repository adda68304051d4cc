"""What an S3 client is to know beside its options: AWS's environment, and the shared files (`~/.aws`).

obstore reads no such files. botocore, which is an extra, reads them for it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sluicegate.sources.options import BadOptions, Location, StoreOptions, check_credential

logger = logging.getLogger("sluicegate")

_KEYS_ELSEWHERE: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables of the environment that lead obstore to keys without botocore."""

_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

_INSTALL: Final = "pip install 'sluicegate[botocore]'"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """What obstore is to be told of; what is `None` it finds out for itself.

    `credentials` is what it takes as `credential_provider`.
    """

    region: str | None = None
    endpoint_url: str | None = None
    credentials: Callable[[], Any] | None = None


def given_region(options: StoreOptions) -> str | None:
    """The region of the options, or of the environment."""
    return options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def given_endpoint(options: StoreOptions) -> str | None:
    """The endpoint of the options, or of the environment."""
    return options.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def check_environment(options: StoreOptions) -> None:
    """Raise `BadOptions` for keys of the environment that are to be used and cannot be."""
    if options.access_key_id is None and options.profile is None and not options.anonymous:
        for name in _CREDENTIALS:
            check_credential(name, os.environ.get(name))


def s3_settings(location: Location, options: StoreOptions) -> S3Settings:
    """The settings for a store. Reads files; raises `BadOptions` for those that are wrong."""
    check_environment(options)
    given = S3Settings(given_region(options), given_endpoint(options), _given_keys(options))
    wants_keys = _are_keys_in_files(options)
    if not _are_files_meant(options) or (given.region and given.endpoint_url and not wants_keys):
        return given
    try:
        # Not at the top: botocore is an extra, and takes 0.1 s to import.
        from sluicegate.sources.aws import SharedFiles  # noqa: PLC0415
    except ImportError as exc:
        if wants_keys:
            _miss_botocore(location, options, exc)
        return given
    files = SharedFiles(options.profile)
    return S3Settings(
        given.region or files.region,
        given.endpoint_url or files.endpoint_url,
        files.credentials() if wants_keys else given.credentials,
    )


def _given_keys(options: StoreOptions) -> Callable[[], Any] | None:
    """The keys of `options`: as settings, obstore would add a session token of the environment to them."""
    if options.access_key_id is None:
        return None
    credentials = {
        "access_key_id": options.access_key_id,
        "secret_access_key": options.secret_access_key,
        "token": options.session_token,
        "expires_at": None,
    }
    return lambda: credentials


def _are_keys_in_files(options: StoreOptions) -> bool:
    """Whether the keys are those of the shared files, if there are any."""
    if options.anonymous or options.access_key_id is not None:
        return False
    # As botocore has it, those in the environment go before the profile there.
    return options.profile is not None or "AWS_ACCESS_KEY_ID" not in os.environ


def _are_files_meant(options: StoreOptions) -> bool:
    return options.profile is not None or "AWS_PROFILE" in os.environ or bool(_files_there())


def _files_there() -> list[str]:
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
    )
    return [file for file in files if Path(file).expanduser().is_file()]


def _miss_botocore(location: Location, options: StoreOptions, missing: ImportError) -> None:
    """Say that nobody reads the files whose keys are wanted: who asked for a profile must not get others."""
    profile = options.profile or os.environ.get("AWS_PROFILE")
    if profile is not None:
        raise BadOptions(f"profile {profile!r} needs botocore: {_INSTALL}") from missing
    if not any(os.environ.get(name) for name in _KEYS_ELSEWHERE):
        found = " and ".join(_files_there())
        logger.warning("%s: %s cannot be read without botocore: %s", location, found, _INSTALL)
