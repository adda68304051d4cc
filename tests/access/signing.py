"""Signed links as their format says that they are, made here without a look at how Sluicegate makes them."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from ipaddress import ip_address

from hypothesis import strategies as st

from sluicegate.access.base import AccessRequest
from sluicegate.http.paths import canonical_path, canonical_segments

NOW = 1_750_000_000
OLD_KEY = "an old key of thirty-two characters, or more"
NEW_KEY = "a new key of thirty-two characters, or more"
KEYS = {"k1": OLD_KEY}


@dataclass
class Clock:
    """The time of day, in seconds of Unix time."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def canonical(raw: str) -> str:
    """The path that the gateway routes and guards, for a path that a client sends."""
    return canonical_path(canonical_segments(raw.encode()))


def asked(
    raw: str,
    token: str | None = None,
    *,
    cookie: str | None = None,
    method: str = "GET",
    client: str | None = "192.0.2.7",
    fields: tuple[tuple[bytes, bytes], ...] = (),
) -> AccessRequest:
    """A request for a path, with a token as query, as cookie or not at all."""
    query = "" if token is None else f"link={token}"
    cookies = () if cookie is None else ((b"cookie", f"sluicegate_link={cookie}".encode()),)
    address = None if client is None else ip_address(client)
    return AccessRequest(method, canonical(raw), query, (*fields, *cookies), address)


def forged(
    kind: str,
    said: object,
    path: str,
    *,
    expires: int | str = NOW + 60,
    key: str = OLD_KEY,
    key_id: str = "k1",
    method: str = "GET",
) -> str:
    """A token by whoever has the key: `said` is any JSON, text that is not, or bytes."""
    match said:
        case bytes():
            written = said
        case _:
            written = json.dumps(said, separators=(",", ":")).encode()
    head = f"{kind}.{key_id}.{expires}.{text64(written)}"
    return f"{head}.{mac(head, path, key=key, method=method)}"


def mac(head: str, path: str, *, key: str = OLD_KEY, method: str = "GET") -> str:
    """HMAC-SHA256 over the head, the method and the path, each on a line of its own."""
    signed = f"{head}\n{method}\n{path}".encode()
    return text64(hmac.new(key.encode(), signed, hashlib.sha256).digest())


def text64(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


# Few pieces, so that two paths are often alike, or one begins with the other.
PIECES = ["/", "/", "a", "b", "%61", "%2F", "%2f", "%5C", ".", "%25", "%C3%A9", "é", " ", "+", ";", ",", "~"]
RAW_PATHS = st.lists(st.sampled_from(PIECES), max_size=6).map(lambda pieces: "/" + "".join(pieces))
