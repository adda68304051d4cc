"""Targets that show credentials which nobody gave them: nothing raises, and nothing is granted.

The keys and passwords here are new in each process, so no input can hold one, nor be made from one.
"""

import base64
import hmac
import json
import secrets
import tempfile
import time
from functools import cache
from pathlib import Path

from argon2.low_level import Type, hash_secret
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sluicegate.access import (
    AccessRequest,
    ApiKeys,
    BasicUsers,
    BearerOptions,
    BearerTokens,
    FileKeys,
    Grant,
    LinkClaims,
    LinkOptions,
    Refusal,
    SignedLinks,
    hash_key,
    new_key,
)
from sluicegate.access.base import Verifier
from sluicegate.access.errors import BadCredentials
from sluicegate.http.fields import is_value
from sluicegate.http.paths import BadPath, canonical_path, canonical_segments

from .waiting import kept, opened, wait

ISSUER = "https://login.example.com/"
AUDIENCE = "files"
ALGORITHM = "EdDSA"

SECRET = secrets.token_urlsafe(32)
API_KEY = hash_key(new_key())
# As cheap as argon2 can be: what a check costs is not the question here.
PASSWORD_HASH = hash_secret(secrets.token_bytes(16), b"0" * 16, 1, 8, 1, 16, Type.ID).decode()
PRIVATE = Ed25519PrivateKey.generate()
PUBLIC_PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

LINKS = SignedLinks({"k2": SECRET, "k1": secrets.token_urlsafe(32)}, LinkOptions(cookie_for_prefix=True))


@cache
def key_file() -> Path:
    """A file of the public key that tokens are checked with."""
    folder = kept().enter_context(tempfile.TemporaryDirectory(prefix="sluicegate-fuzz-"))
    file = Path(folder) / "login.pem"
    file.write_bytes(PUBLIC_PEM)
    return file


@cache
def _tokens() -> BearerTokens:
    options = BearerOptions(
        issuer=ISSUER,
        audience=(AUDIENCE,),
        algorithms=(ALGORITHM,),
        required_claims={"scope": "read"},
        cookie="session",
        parameter="token",
    )
    return opened(BearerTokens(options, FileKeys(key_file())))


@cache
def _users() -> BasicUsers:
    return opened(BasicUsers({"alice": PASSWORD_HASH}, "files"))


@cache
def _keys() -> ApiKeys:
    return ApiKeys({"acme": [API_KEY]}, "files", parameter="key")


def link(data: bytes) -> None:
    """No path, query and cookie (a line each) is a link without the key."""
    raw_path, query, cookie = (*data.split(b"\n", 2), b"", b"")[:3]
    try:
        path = canonical_path(canonical_segments(raw_path))
    except BadPath:
        return
    refusal = _refused(LINKS, AccessRequest("GET", path, query.decode("latin-1"), [(b"cookie", cookie)]))
    assert refusal.status == 403


def link_of(data: bytes) -> None:
    """A link for the path in the first line opens the one in the second if that is the same, or below it."""
    signed, _, asked = data.partition(b"\n")
    try:
        segments = canonical_segments(asked)
        token = _token_for(signed.decode())
        wanted = canonical_segments(signed)
    except (BadPath, BadCredentials, UnicodeDecodeError):
        return
    below = wanted[:-1]
    expected = segments[: len(below)] == below and len(segments) > len(below) if _is_prefix(signed) else None
    request = AccessRequest("GET", canonical_path(segments), f"a=b&link={token}")
    granted = isinstance(wait(LINKS.verify(request)), Grant)
    assert granted == (segments == wanted if expected is None else expected)


def _is_prefix(signed: bytes) -> bool:
    return signed.endswith(b"/")


def _token_for(signed: str) -> str:
    if signed.endswith("/"):
        return LINKS.sign("", 60, LinkClaims(prefix=signed))
    return LINKS.sign(signed, 60)


def token(data: bytes) -> None:
    """A token is granted if it is signed, for us, and not over; the first line says how it is made.

    `signed`: a header and a payload, a line each, that the issuer signs. `hmac`: the same, signed with what
    everybody knows of the issuer's key. Anything else: a token as it is, wherever tokens may stand.
    """
    kind, _, rest = data.partition(b"\n")
    header, _, payload = rest.partition(b"\n")
    content = b".".join((_base64(header), _base64(payload)))
    match kind:
        case b"signed":
            shown = content + b"." + _base64(PRIVATE.sign(content))
            if isinstance(_verdict(_tokens(), _bearing(b"Bearer " + shown)), Grant):
                _check_token(json.loads(header), json.loads(payload))
        case b"hmac":
            mac = hmac.digest(PUBLIC_PEM, content, "sha256")
            _refused(_tokens(), _bearing(b"Bearer " + content + b"." + _base64(mac)))
        case _:
            _refused(_tokens(), _bearing(kind))
            query, cookie = rest.decode("latin-1"), b"session=" + rest
            _refused(_tokens(), AccessRequest("GET", "/a", query, [(b"cookie", cookie)]))


def _check_token(header: dict[str, object], claims: dict[str, object]) -> None:
    audience, expiry, scope = claims["aud"], claims["exp"], claims["scope"]
    assert header["alg"] == ALGORITHM
    assert "crit" not in header
    assert claims["iss"] == ISSUER
    assert audience == AUDIENCE or (isinstance(audience, list) and AUDIENCE in audience)
    assert isinstance(expiry, int | float)
    assert expiry > time.time() - 60
    assert "read" in (scope.split() if isinstance(scope, str) else scope)  # type: ignore[operator]


def password(data: bytes) -> None:
    """No user and password are right; `raw` in the first line is for what is not even base64."""
    kind, _, rest = data.partition(b"\n")
    shown = rest if kind == b"raw" else base64.b64encode(data)
    refusal = _refused(_users(), _bearing(b"Basic " + shown))
    assert refusal.status == 401


def api_key(data: bytes) -> None:
    """No key is right: in the field (the first line), in the query (the second), in both."""
    field, _, query = data.partition(b"\n")
    for headers in ([(b"x-api-key", field)], [(b"x-api-key", field)] * 2, []):
        assert _refused(_keys(), AccessRequest("GET", "/a", query.decode("latin-1"), headers)).status == 401


def _bearing(authorization: bytes) -> AccessRequest:
    return AccessRequest("GET", "/a", "", [(b"authorization", authorization)])


def _verdict(verifier: Verifier, request: AccessRequest) -> Grant | Refusal:
    verdict = wait(verifier.verify(request))
    if isinstance(verdict, Refusal):
        assert verdict.status in (400, 401, 403), "nobody had to be asked"
        assert verdict.challenge is None or is_value(verdict.challenge), "a challenge that splits the header"
        assert (verdict.status == 401) <= (verdict.challenge is not None), "401 needs a challenge"
    return verdict


def _refused(verifier: Verifier, request: AccessRequest) -> Refusal:
    verdict = _verdict(verifier, request)
    assert isinstance(verdict, Refusal), "granted without the key"
    return verdict


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
