"""What only botocore can tell of an S3 store, where it is installed: whose credentials, which checksums."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final

from sluicegate import SluicegateError

from ..config import StoreConfig
from .credentials import Credentials

try:
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config as Settings
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

DEFAULT_REGION: Final = "us-east-1"

MOST_SECONDS: Final = 5.0
"""How long a request of botocore's may take: a thread that waits cannot be stopped when somebody leaves."""

_CHECKSUMS: Final = (
    "ChecksumCRC32",
    "ChecksumCRC32C",
    "ChecksumCRC64NVME",
    "ChecksumSHA1",
    "ChecksumSHA256",
)


class CannotTell(SluicegateError):
    """botocore came to no answer; the message says why."""


async def found_credentials(store: StoreConfig) -> Credentials | None:
    """What botocore's chain comes up with for a store that has no credentials of its own.

    Raises `CannotTell`, as for a profile that is not there.
    """
    return await asyncio.to_thread(_found_credentials, store.profile)


def _found_credentials(profile: str | None) -> Credentials | None:
    try:
        found = botocore.session.Session(profile=profile).get_credentials()
        if found is None:
            return None
        token = found.get_frozen_credentials().token
    except (BotoCoreError, ClientError, OSError, ValueError) as exc:
        # Its text may hold what a credential process said.
        of = "the usual chain" if profile is None else f"profile {profile!r}"
        raise CannotTell(f"{of}: {type(exc).__name__}") from exc
    # Only credentials that botocore can refresh have this; it has no public name.
    expires: datetime | None = getattr(found, "_expiry_time", None)
    # The environment's are read again, and nobody puts new ones there.
    refreshed = expires is not None and found.method != "env"
    return Credentials(found.method or "an unknown way", token is not None, refreshed, expires)


async def announced_checksums(store: StoreConfig, bucket: str, key: str) -> tuple[str, ...]:
    """The checksums that the store keeps of an object, by name: `crc32`, `sha256` ...

    Raises `CannotTell`.
    """
    return await asyncio.to_thread(_announced_checksums, store, bucket, key)


def _announced_checksums(store: StoreConfig, bucket: str, key: str) -> tuple[str, ...]:
    try:
        client = _client(store)
        try:
            answer = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        finally:
            client.close()
    except (BotoCoreError, ClientError, OSError, ValueError) as exc:
        raise CannotTell(type(exc).__name__) from exc
    return tuple(name.removeprefix("Checksum").lower() for name in _CHECKSUMS if name in answer)


def _client(store: StoreConfig) -> Any:
    session = botocore.session.Session(profile=store.profile)
    settings = Settings(
        connect_timeout=min(store.connect_timeout, MOST_SECONDS),
        read_timeout=min(store.read_timeout, MOST_SECONDS),
        retries={"total_max_attempts": 1},
        s3={"addressing_style": store.addressing},
        signature_version=UNSIGNED if store.anonymous else None,
    )
    return session.create_client(
        "s3",
        region_name=store.region or session.get_config_variable("region") or DEFAULT_REGION,
        endpoint_url=store.endpoint_url,
        aws_access_key_id=store.access_key_id,
        aws_secret_access_key=store.secret_access_key,
        aws_session_token=store.session_token,
        verify=store.tls_verify,
        config=settings,
    )
