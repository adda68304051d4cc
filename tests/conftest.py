"""What every test may lean on: real servers, started once when first asked for, and a quiet environment."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import s3
from tests.servers.process import ServerMissing

# How long an input takes, and how long it takes to make some, says how busy the machine is.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

BUCKET = "tests"

Server = TypeVar("Server")

# What the machine's owner has set up for AWS and for proxies is not for tests, and must not change them.
_PRIVATE = ("AWS_", "BOTO_", "AZURE_", "GOOGLE_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(scope="session", autouse=True)
def quiet_environment() -> Iterator[None]:
    """No credentials, endpoints or proxies but those that a test gives; no instance is asked for its role."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_PRIVATE) or name.lower() in _PROXIES:
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
        yield


@pytest.fixture(scope="session", autouse=True)
def patient_httpx() -> Iterator[None]:
    """httpx waits longer than its five seconds, which an answer may take on a machine that is busy."""
    with pytest.MonkeyPatch.context() as patch:
        for step in ("connect", "read", "write", "pool"):
            patch.setattr(f"httpx._config.DEFAULT_TIMEOUT_CONFIG.{step}", 30.0)
        yield


@pytest.fixture(scope="session")
def juicefs_server() -> Iterator[s3.S3Server]:
    """JuiceFS, the default store, with an empty bucket `BUCKET`."""
    yield from _with_bucket(s3.juicefs)


@pytest.fixture(scope="session")
def seaweedfs_server() -> Iterator[s3.S3Server]:
    """SeaweedFS, with an empty bucket `BUCKET`."""
    yield from _with_bucket(s3.seaweedfs)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[s3.S3Server]:
    """Moto, with an empty bucket `BUCKET`."""
    yield from _with_bucket(s3.moto)


@pytest.fixture(scope="session")
def rclone_server() -> Iterator[s3.S3Server]:
    """`rclone serve s3`, with an empty bucket `BUCKET`."""
    yield from _with_bucket(s3.rclone)


def _with_bucket(start: Callable[[], AbstractContextManager[s3.S3Server]]) -> Iterator[s3.S3Server]:
    with started(start()) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@contextmanager
def started(server: AbstractContextManager[Server]) -> Iterator[Server]:
    """Run a server until the block ends; where it is not installed, the test is skipped."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except ServerMissing as missing:
            pytest.skip(str(missing))
        yield running
