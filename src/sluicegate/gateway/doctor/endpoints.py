"""Where a store is on the network, as its client will find it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ..config import StoreConfig

_PORTS: Final = {"http": 80, "https": 443}
_DEFAULT_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service that is connected to: whether over TLS, and how its certificate is checked."""

    url: str
    host: str
    port: int
    tls: bool
    tls_verify: bool | str = True

    @classmethod
    def of(cls, url: str, tls_verify: bool | str) -> Endpoint:
        """The endpoint of an `http://` or `https://` URL, of which the path has no part."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        return cls(f"{parts.scheme}://{parts.netloc}/", host, port, parts.scheme == "https", tls_verify)

    def __str__(self) -> str:
        return self.url.rstrip("/")


def store_endpoint(store: StoreConfig, environ: Mapping[str, str]) -> Endpoint | None:
    """The endpoint of a store; `None` for stores on this machine, and where only the client knows it."""
    scheme, _, place = store.url.partition("://")
    bucket = place.partition("/")[0]
    match scheme:
        case "s3":
            url = _s3_url(store, bucket, environ)
        case "gs":
            url = store.endpoint_url or "https://storage.googleapis.com"
        case "az":
            account = store.account_name or environ.get("AZURE_STORAGE_ACCOUNT_NAME")
            named = f"https://{account}.blob.core.windows.net" if account else None
            url = store.endpoint_url or named or ""
        case _:
            url = ""
    return Endpoint.of(url, store.tls_verify) if url else None


def _s3_url(store: StoreConfig, bucket: str, environ: Mapping[str, str]) -> str:
    region = store.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION
    given = store.endpoint_url or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    url = given or f"https://s3.{region}.amazonaws.com"
    if store.addressing != "virtual":
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{bucket}.{parts.netloc}"
