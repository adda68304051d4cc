"""Configurations of a gateway in front of a store: open to everybody, or with all that guards it."""

import json
from collections.abc import Mapping

from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from tests.servers.s3 import S3Server

from .origins import BUCKET

MEMORY = "memory://"
KEY_ID = "first"
KEY = "only-for-benchmarks-0123456789-0123456789"

MOST_TRANSFERS = 100_000
MOST_REQUESTS = "100000000/second"
"""So many that all of a benchmark's, which are one client's, are counted and none is refused."""

_ROUTE = """
[[routes]]
path = "/tasks/{task_id:int}/image"
object = "images:test/{task_id}/image.jpg"
media_type = "image/jpeg"
"""

_LINKS = f"""
[auth.links]
type = "signed"

[auth.links.keys]
{KEY_ID} = "{KEY}"
"""


def open_to_all(store: S3Server) -> str:
    """Nobody is asked who it is, and nobody is counted."""
    return "\n".join([_store(store), _ROUTE])


def guarded(store: S3Server, storage: str = MEMORY, generation: int = 0) -> str:
    """Signed links, and each client's transfers and requests counted: those in `storage`.

    `generation` is told in a field of every answer, so that it can be seen which configuration gave it.
    """
    route = [
        f'{_ROUTE.rstrip()}\nauth = "links"',
        f'headers = {{ "x-generation" = "{generation}" }}' if generation else "",
    ]
    limits: Mapping[str, str | int] = {
        "client_transfers": MOST_TRANSFERS,
        "client_requests": MOST_REQUESTS,
        "storage": storage,
    }
    return "\n".join([_store(store), _LINKS, _table("limits", limits), *route, ""])


def signed(path: str, seconds: float = 24 * 3600, claims: LinkClaims | None = None) -> str:
    """Return the path with a link that the guarded configuration takes."""
    return SignedLinks({KEY_ID: KEY}).link(path, seconds, claims)


def _store(store: S3Server) -> str:
    settings = {
        "url": f"s3://{BUCKET}",
        "endpoint_url": store.endpoint_url,
        "region": store.region,
        "access_key_id": store.access_key,
        "secret_access_key": store.secret_key,
    }
    return _table("stores.images", settings)


def _table(name: str, settings: Mapping[str, str | int]) -> str:
    # JSON writes texts and numbers as TOML does.
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items()), ""])
