"""How the sources under test are set up: S3 servers as options, and bodies to the end."""

from typing import Any, Literal

from sluicegate import Body, Found, HttpOptions, OpenOutcome, Source, StoreOptions
from sluicegate.sources.opening import Client, http_source, store_source
from tests.servers.s3 import S3Server

CLIENTS: tuple[Client, ...] = ("obstore", "aiobotocore", "botocore")


def options_for(server: S3Server, **changes: Any) -> StoreOptions:
    """Options that reach `server`, with few connections and no second attempt."""
    options: dict[str, Any] = {
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        "max_connections": 8,
        "attempts": 1,
    }
    return StoreOptions(**{**options, **changes})


def found(outcome: OpenOutcome) -> Found:
    """`outcome`, which must be an object."""
    assert isinstance(outcome, Found), outcome
    return outcome


async def content_of(outcome: OpenOutcome) -> bytes:
    """All bytes of an object, whose body is closed then."""
    body = found(outcome).body
    try:
        return await drain(body)
    finally:
        await body.aclose()


async def drain(body: Body) -> bytes:
    """All bytes of a body, which stays open."""
    chunks = []
    while chunk := await body.read():
        chunks.append(bytes(chunk))
    return b"".join(chunks)


Kind = Literal["obstore", "aiobotocore", "botocore", "http"]
KINDS: tuple[Kind, ...] = (*CLIENTS, "http")
"""Every source that speaks HTTP."""


def source_at(kind: Kind, url: str, **changes: Any) -> Source:
    """A source of `kind` whose key `k` is `url/bucket/k`: patient, and without a second attempt."""
    options: dict[str, Any] = {"connect_timeout": 10.0, "read_timeout": 10.0, "max_connections": 8}
    if kind == "http":
        return http_source(f"{url}/bucket", HttpOptions(**{**options, **changes}))
    keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1", "attempts": 1}
    store = StoreOptions(endpoint_url=url, **{**options, **keys, **changes})
    return store_source("s3://bucket", store, client=kind)
