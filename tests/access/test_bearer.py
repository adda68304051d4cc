"""Tokens that somebody else signed: which are granted, which are refused and why, and that none does harm."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.base import AccessRequest, Grant, Refusal, Verdict
from sluicegate.access.bearer import (
    GRANT_SECONDS,
    MAX_GRANTS,
    MAX_TOKEN_CHARS,
    REASONS,
    BearerTokens,
    Granted,
    GrantedTokens,
    grant_for,
    holds,
    reason_for,
)
from sluicegate.access.bearer_options import ALGORITHMS, MAX_LEEWAY_SECONDS, BadBearerOptions, BearerOptions
from sluicegate.access.key_sets import FileKeys, Issuer, JwksClient, JwksUrl, KeySource
from sluicegate.access.keys import KeySet, parse_key_set
from tests.servers.oidc import OidcProvider, Signer, oidc_provider

CHALLENGE = 'Bearer realm="sluicegate"'
INVALID = f'{CHALLENGE}, error="invalid_token"'


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as running:
        yield running


def options(provider: OidcProvider, **changes: Any) -> BearerOptions:
    good = {"issuer": provider.issuer, "audience": ("files",), "algorithms": (provider.signer.algorithm,)}
    return BearerOptions(**{**good, **changes})


@asynccontextmanager
async def bearer(provider: OidcProvider, **changes: Any) -> AsyncIterator[BearerTokens]:
    async with BearerTokens(options(provider, **changes), JwksClient(Issuer(provider.url))) as tokens:
        yield tokens


def request(token: str | None = None, *, query: str = "", **fields: str) -> AccessRequest:
    shown = fields if token is None else {"authorization": f"Bearer {token}", **fields}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in shown.items()]
    return AccessRequest("GET", "/object", query, headers)


async def verdict(provider: OidcProvider, token: str, **changes: Any) -> Verdict:
    async with bearer(provider, **changes) as tokens:
        return await tokens.verify(request(token))


def invalid(reason: str) -> Refusal:
    return Refusal(reason=reason, challenge=INVALID)


def encoded(value: bytes | object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed_with_hmac(header: dict[str, Any], claims: dict[str, object], secret: bytes) -> str:
    content = f"{encoded(header)}.{encoded(claims)}"
    return f"{content}.{encoded(hmac.digest(secret, content.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
async def test_token_of_every_kind_of_key_is_granted(algorithm: Any) -> None:
    with oidc_provider(algorithm) as provider:
        granted = await verdict(provider, provider.token(sub="bob"))
    assert isinstance(granted, Grant)
    assert granted.subject == "bob"


async def test_claims_are_granted_as_text(provider: OidcProvider) -> None:
    claims = provider.claims(admin=True, level=3, ratio=1.5, roles=["a"], nested={"b": 1}, nothing=None)
    token = provider.signer.sign(json.dumps({**claims, "nothing": None}).encode(), provider.header())
    granted = await verdict(provider, token)
    assert granted == Grant(
        subject="alice",
        claims={
            **{"iss": provider.issuer, "aud": "files", "sub": "alice", "admin": "true", "level": "3"},
            **{name: str(claims[name]) for name in ("iat", "exp")},
        },
    )


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(request, id="field"),
        pytest.param(lambda token: request(authorization=f"bEaReR  {token} "), id="scheme-in-any-case"),
        pytest.param(lambda token: request(cookie=f"a=b; session={token}"), id="cookie"),
        pytest.param(lambda token: request(query=f"a=b&access_token={token}"), id="query"),
        pytest.param(lambda token: request(token, cookie="session="), id="emptied-cookie"),
    ],
)
async def test_token_is_found_where_it_may_stand(
    provider: OidcProvider, shown: Callable[[str], AccessRequest]
) -> None:
    async with bearer(provider, cookie="session", parameter="access_token") as tokens:
        assert isinstance(await tokens.verify(shown(provider.token())), Grant)


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(lambda token: request(), id="nothing"),
        pytest.param(lambda token: request(authorization="Basic YTpi"), id="other-scheme"),
        pytest.param(lambda token: request(authorization=token), id="no-scheme"),
        pytest.param(lambda token: request(cookie=f"session={token}"), id="cookie-that-is-not-configured"),
        pytest.param(lambda token: request(query=f"access_token={token}"), id="query-that-is-not-configured"),
    ],
)
async def test_request_without_a_token_is_challenged(
    provider: OidcProvider, shown: Callable[[str], AccessRequest]
) -> None:
    async with bearer(provider) as tokens:
        refused = await tokens.verify(shown(provider.token()))
    assert refused == Refusal(reason="no token", challenge=CHALLENGE, absent=True)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param(lambda t: request(f"{t}, Bearer {t}"), "more than one token", id="two-fields"),
        pytest.param(lambda t: request(t, query=f"token={t}"), "more than one token", id="field-and-query"),
        pytest.param(lambda t: request(t, cookie=f"c={t}"), "more than one token", id="field-and-cookie"),
        pytest.param(lambda t: request(query=f"token={t}&token=x"), "more than one token", id="two-in-query"),
        pytest.param(lambda t: request(""), "an empty token", id="empty"),
        pytest.param(lambda t: request(authorization="Bearer"), "an empty token", id="scheme-alone"),
    ],
)
async def test_request_that_is_ambiguous_is_refused(
    provider: OidcProvider, shown: Callable[[str], AccessRequest], reason: str
) -> None:
    async with bearer(provider, cookie="c", parameter="token") as tokens:
        refused = await tokens.verify(shown(provider.token()))
    assert refused == Refusal(reason=reason, status=400, challenge=f'{CHALLENGE}, error="invalid_request"')


async def test_two_fields_of_one_request_are_ambiguous(provider: OidcProvider) -> None:
    field = (b"authorization", b"Bearer " + provider.token().encode())
    async with bearer(provider) as tokens:
        refused = await tokens.verify(AccessRequest("GET", "/", headers=[field, field]))
    assert isinstance(refused, Refusal)
    assert refused.status == 400


async def test_token_without_a_key_name_is_tried_with_every_key(provider: OidcProvider) -> None:
    provider.rotate()
    token = provider.token(header=provider.header(kid=None))
    assert isinstance(await verdict(provider, token), Grant)


async def test_two_keys_of_one_name_are_both_tried(provider: OidcProvider) -> None:
    twin = Signer("ES256", provider.signer.kid)
    provider.extra_keys.append(twin.public())
    async with bearer(provider) as tokens:
        for signer in (provider.signer, twin):
            assert isinstance(await tokens.verify(request(provider.token(signer=signer))), Grant)


async def test_key_in_a_file_needs_no_provider(tmp_path: Path, provider: OidcProvider) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(provider.signer.pem())
    async with BearerTokens(options(provider), FileKeys(file)) as tokens:
        assert isinstance(await tokens.verify(request(provider.token())), Grant)
    assert provider.requests == []


async def test_algorithm_none_is_refused(provider: OidcProvider) -> None:
    for name in ("none", "None", "NONE", "nOnE", ""):
        token = f"{encoded(provider.header(alg=name))}.{encoded(provider.claims())}."
        assert await verdict(provider, token) == invalid("the token's algorithm is not allowed")


async def test_public_key_as_hmac_secret_is_refused() -> None:
    with oidc_provider("RS256") as provider:
        for secret in (provider.signer.pem(), provider.signer.pem().strip(), provider.key_set()):
            header = provider.header(alg="HS256")
            token = signed_with_hmac(header, provider.claims(), secret)
            assert await verdict(provider, token) == invalid("the token's algorithm is not allowed")


async def test_algorithm_of_another_key_type_is_refused(provider: OidcProvider) -> None:
    token = provider.token(header=provider.header(), signer=provider.signer)
    _, payload, signature = token.split(".")
    swapped = f"{encoded(provider.header(alg='RS256'))}.{payload}.{signature}"
    refused = await verdict(provider, swapped, algorithms=("ES256", "RS256"))
    assert refused == invalid("no key of that name fits the token's algorithm")


async def test_key_that_the_token_brings_is_not_believed(provider: OidcProvider) -> None:
    evil = Signer("ES256", provider.signer.kid)
    token = provider.token(header=provider.header(jwk=evil.public()), signer=evil)
    assert await verdict(provider, token) == invalid("the token's signature does not fit")


@pytest.mark.parametrize("member", ["jku", "x5u"])
@pytest.mark.parametrize("kid", ["own", "other"])
async def test_address_of_a_key_in_the_token_is_not_asked(
    provider: OidcProvider, member: str, kid: str
) -> None:
    with oidc_provider() as elsewhere:
        header = provider.header(kid=provider.signer.kid if kid == "own" else elsewhere.signer.kid)
        token = provider.token(header={**header, member: elsewhere.jwks_uri}, signer=elsewhere.signer)
        assert isinstance(await verdict(provider, token), Refusal)
        assert elsewhere.requests == []


async def test_certificate_in_the_token_is_not_believed(provider: OidcProvider) -> None:
    evil = Signer("ES256")
    token = provider.token(header=provider.header(x5c=[evil.pem().decode()]), signer=evil)
    assert await verdict(provider, token) == invalid("the token's signature does not fit")


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "'; DROP TABLE keys; --",
        "a\x00b",
        "${jndi:ldap://x}",
    ],
)
async def test_key_name_is_a_name_and_nothing_else(provider: OidcProvider, kid: str) -> None:
    empty = signed_with_hmac(provider.header(kid=kid), provider.claims(), b"")
    for token in (empty, provider.token(header=provider.header(kid=kid))):
        refused = await verdict(provider, token)
        assert refused == invalid("no key of that name fits the token's algorithm")


async def test_signature_of_zeros_is_refused(provider: OidcProvider) -> None:
    # CVE-2022-21449: r = s = 0 fitted every text.
    content = provider.token().rpartition(".")[0]
    for zeros in (bytes(64), bytes.fromhex("3006020100020100"), b""):
        refused = await verdict(provider, f"{content}.{encoded(zeros)}")
        assert refused == invalid("the token's signature does not fit")


async def test_critical_extension_is_refused(provider: OidcProvider) -> None:
    for header in ({"crit": ["b64"], "b64": True}, {"crit": ["exp"], "exp": 1}):
        head, payload = encoded(provider.header(**header)), encoded(provider.claims())
        signer = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        signature = signer.sign(f"{head}.{payload}".encode(), provider.signer.key.private_key)
        refused = await verdict(provider, f"{head}.{payload}.{encoded(signature)}")
        assert isinstance(refused, Refusal)
        assert refused.challenge == INVALID


async def test_payload_outside_of_the_token_is_refused(provider: OidcProvider) -> None:
    token = provider.token()
    head, payload, signature = token.split(".")
    for detached in (f"{head}..{signature}", f"{head}.{payload}.{signature}.", f"{payload}.{signature}"):
        assert isinstance(await verdict(provider, detached), Refusal)


async def test_token_that_is_encrypted_is_refused(provider: OidcProvider) -> None:
    header = {"alg": "RSA-OAEP", "enc": "A256GCM"}
    refused = await verdict(provider, f"{encoded(header)}.AAAA.AAAA.AAAA.AAAA")
    assert refused == invalid("the token's algorithm is not allowed")


async def test_token_that_is_too_long_is_not_decoded(provider: OidcProvider) -> None:
    token = provider.token(padding="x" * MAX_TOKEN_CHARS)
    refused = await verdict(provider, token)
    assert refused == invalid(f"the token has {len(token)} characters, and {MAX_TOKEN_CHARS} are allowed")
    assert provider.requests == []


@pytest.mark.parametrize("text", ["\u00e9", "\ud800", "\x00"])
async def test_token_of_odd_characters_is_refused(provider: OidcProvider, text: str) -> None:
    async with bearer(provider, parameter="token") as tokens:
        refused = await tokens.verify(request(query=f"token={provider.token()}{text}"))
    assert refused == invalid("the token is malformed")


async def test_header_nested_for_ever_is_refused(provider: OidcProvider) -> None:
    assert await verdict(provider, f"{encoded(b'[' * 6000)}.e30.AAAA") == invalid("the token is malformed")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        pytest.param({"exp": 1_000_000_000}, "the token has expired", id="expired"),
        pytest.param({"exp": -1}, "the token has expired", id="before-1970"),
        pytest.param({"nbf": 1e12}, "the token is not valid yet", id="not-yet-valid"),
        pytest.param({"nbf": 10**400}, "the token is not valid yet", id="never-valid"),
        pytest.param({"iat": 1e12}, "the token is not valid yet", id="issued-in-the-future"),
        pytest.param({"aud": "other"}, "the token is for another audience", id="audience"),
        pytest.param({"aud": ["other", "file"]}, "the token is for another audience", id="audiences"),
        pytest.param({"aud": {"files": 1}}, "the token is for another audience", id="audience-no-text"),
        pytest.param({"iss": "https://evil.example"}, "the token is from another issuer", id="issuer"),
        pytest.param({"iss": ["https://evil.example"]}, "the token is from another issuer", id="issuer-list"),
        pytest.param({"exp": None}, "the token lacks one of the claims iss, aud and exp", id="no-expiry"),
        pytest.param({"aud": None}, "the token lacks one of the claims iss, aud and exp", id="no-audience"),
        pytest.param({"iss": None}, "the token lacks one of the claims iss, aud and exp", id="no-issuer"),
        pytest.param({"exp": "99999999999"}, "the token's exp is no time", id="expiry-text"),
        pytest.param({"nbf": True}, "the token's nbf is no time", id="not-before-true"),
        pytest.param({"iat": "0"}, "the token's iat is no time", id="issued-text"),
        pytest.param({"iat": []}, "the token's iat is no time", id="issued-list"),
        pytest.param({"exp": float("nan")}, "the token is malformed", id="expiry-nan"),
        pytest.param({"exp": float("inf")}, "the token is malformed", id="expiry-infinite"),
        pytest.param({"sub": 7}, "the token's sub is no text", id="subject-number"),
        pytest.param({"sub": "\ud800"}, "the token's sub is no text", id="subject-half-a-character"),
    ],
)
async def test_token_of_other_claims_is_refused(
    provider: OidcProvider, claims: dict[str, object], reason: str
) -> None:
    assert await verdict(provider, provider.token(**claims)) == invalid(reason)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"aud": ["other", "files"]}, id="one-of-its-audiences"),
        pytest.param({"exp": 10**400}, id="expiry-beyond-any-float"),
        pytest.param({"exp": 99999999999.5}, id="expiry-with-a-fraction"),
        pytest.param({"nbf": 0}, id="valid-for-long"),
        pytest.param({"iat": None, "sub": None}, id="what-may-be-left-out"),
        pytest.param({"jku": "https://evil.example"}, id="claims-that-nobody-knows"),
    ],
)
async def test_token_of_good_claims_is_granted(provider: OidcProvider, claims: dict[str, object]) -> None:
    assert isinstance(await verdict(provider, provider.token(**claims)), Grant)


async def test_clocks_may_be_apart_by_the_leeway(provider: OidcProvider) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 100}, {"nbf": now + 100}, {"iat": now + 100}):
        token = provider.token(**claims)
        assert isinstance(await verdict(provider, token, leeway_seconds=200.0), Grant)
        assert isinstance(await verdict(provider, token, leeway_seconds=10.0), Refusal)


HUGE_NUMBER = b'{"exp":' + b"9" * 5000 + b"}"


@pytest.mark.parametrize(
    "payload", [b"[]", b"7", b'"a"', b"null", b"", b"{", b"\xff", b"[" * 3000, b"NaN", HUGE_NUMBER]
)
async def test_payload_that_is_no_object_is_refused(provider: OidcProvider, payload: bytes) -> None:
    token = provider.signer.sign(payload, provider.header())
    assert await verdict(provider, token) == invalid("the token is malformed")


@pytest.mark.parametrize(
    ("name", "value", "required", "held"),
    [
        pytest.param("role", "admin", "admin", True, id="equal"),
        pytest.param("role", "admins", "admin", False, id="longer"),
        pytest.param("role", "user admin", "admin", False, id="words-of-no-scope"),
        pytest.param("role", None, "admin", False, id="missing"),
        pytest.param("role", True, "true", True, id="true"),
        pytest.param("role", 7, "7", True, id="number"),
        pytest.param("role", ["user", "admin"], "admin", True, id="in-list"),
        pytest.param("role", [["admin"], {"admin": 1}], "admin", False, id="deeper-in-list"),
        pytest.param("role", {"admin": 1}, "admin", False, id="object"),
        pytest.param("scope", "write read", "read", True, id="in-scope"),
        pytest.param("scope", "read-all", "read", False, id="part-of-a-word-in-scope"),
        pytest.param("scope", "a write b read", "read write", True, id="all-words-in-scope"),
        pytest.param("scope", "read", "read write", False, id="some-words-in-scope"),
        pytest.param("scope", ["read"], "read", True, id="scope-as-list"),
        pytest.param("scp", "files.read files.write", "files.read", True, id="scope-by-its-other-name"),
    ],
)
def test_claim_holds_what_is_required(name: str, value: object, required: str, held: bool) -> None:
    assert holds(name, value, required) is held


async def test_token_that_lacks_what_is_required_is_forbidden(provider: OidcProvider) -> None:
    async with bearer(provider, required_claims={"scope": "read", "tier": "gold"}) as tokens:
        refused = await tokens.verify(request(provider.token(scope="read", tier="silver")))
        granted = await tokens.verify(request(provider.token(scope="read write", tier="gold")))
    assert isinstance(granted, Grant)
    assert refused == Refusal(
        reason="the token's 'tier' lacks 'gold'",
        status=403,
        challenge=f'{CHALLENGE}, error="insufficient_scope"',
    )


def test_claims_that_nothing_can_write_are_left_out() -> None:
    assert grant_for({"a": "\ud800", "\udfff": "b", "c": "d"}).claims == {"c": "d"}


async def test_provider_that_never_answered_is_unavailable(provider: OidcProvider) -> None:
    token = provider.token()
    provider.stop()
    refused = await verdict(provider, token)
    assert refused == Refusal(reason="no keys of the issuer are at hand", status=503)


async def test_provider_down_leaves_known_keys_in_use(provider: OidcProvider) -> None:
    async with bearer(provider) as tokens:
        assert isinstance(await tokens.verify(request(provider.token())), Grant)
        provider.stop()
        assert isinstance(await tokens.verify(request(provider.token(sub="bob"))), Grant)


async def test_rotation_in_mid_flight_is_followed_after_one_fetch(provider: OidcProvider) -> None:
    async with bearer(provider) as tokens:
        old = provider.token()
        assert isinstance(await tokens.verify(request(old)), Grant)
        provider.rotate()
        new = [request(provider.token(jti=str(number))) for number in range(20)]
        verdicts = await asyncio.gather(*map(tokens.verify, new))
        assert [type(each) for each in verdicts] == [Grant] * 20
        assert isinstance(await tokens.verify(request(old)), Grant)
    assert provider.key_requests() == 2


async def test_key_that_was_withdrawn_ends_what_it_granted(provider: OidcProvider) -> None:
    async with bearer(provider) as tokens:
        old = request(provider.token())
        assert isinstance(await tokens.verify(old), Grant)
        provider.rotate(keep=False)
        assert isinstance(await tokens.verify(request(provider.token())), Grant)
        assert await tokens.verify(old) == invalid("no key of that name fits the token's algorithm")


class HeldKeys:
    """Keys that are at hand; counts how often they were asked for, which no remembered token does."""

    def __init__(self, *signers: Signer) -> None:
        content = json.dumps({"keys": [signer.public() for signer in signers]}).encode()
        self.known: KeySet | None = KeySet(parse_key_set(content))
        self.asked = 0
        self.entered = 0

    async def keys(self, kid: str | None) -> KeySet | None:
        self.asked += 1
        return self.known

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.entered -= 1


async def test_keys_are_entered_and_left(provider: OidcProvider) -> None:
    keys = HeldKeys(provider.signer)
    async with BearerTokens(options(provider), keys):
        assert keys.entered == 1
    assert keys.entered == 0


async def test_checked_token_is_remembered_for_a_while(provider: OidcProvider) -> None:
    now = time.time()
    keys = HeldKeys(provider.signer)
    shown = request(provider.token())
    async with BearerTokens(options(provider), keys, clock=lambda: now) as tokens:
        first = await tokens.verify(shown)
        assert await tokens.verify(shown) is first
        assert keys.asked == 1
        now += GRANT_SECONDS
        assert await tokens.verify(shown) == first
        assert keys.asked == 2


async def test_token_is_not_remembered_beyond_its_expiry(provider: OidcProvider) -> None:
    now = time.time()
    keys = HeldKeys(provider.signer)
    shown = request(provider.token(exp=int(now) + 20))
    async with BearerTokens(options(provider), keys, clock=lambda: now) as tokens:
        await tokens.verify(shown)
        now = int(now) + 20
        await tokens.verify(shown)
    assert keys.asked == 2


async def test_refused_token_is_not_remembered(provider: OidcProvider) -> None:
    keys = HeldKeys(provider.signer)
    shown = request(provider.token(aud="other"))
    async with BearerTokens(options(provider), keys) as tokens:
        assert await tokens.verify(shown) == await tokens.verify(shown)
    assert keys.asked == 2


async def test_nothing_is_remembered_after_leaving(provider: OidcProvider) -> None:
    keys = HeldKeys(provider.signer)
    tokens = BearerTokens(options(provider), keys)
    shown = request(provider.token())
    for _ in range(2):
        async with tokens:
            await tokens.verify(shown)
    assert keys.asked == 2


def test_remembered_tokens_are_bounded_and_the_latest_stay() -> None:
    granted = GrantedTokens()
    digests = [number.to_bytes(4, "big") for number in range(MAX_GRANTS + 1)]
    for digest in digests[:-1]:
        granted.put(digest, Granted(Grant(), 0, 10.0))
    assert granted.get(digests[0], 0, 0.0) == Grant()
    granted.put(digests[-1], Granted(Grant(), 0, 10.0))
    found = [digest for digest in digests if granted.get(digest, 0, 0.0) is None]
    assert found == [digests[1]]


def test_remembered_token_of_other_keys_is_forgotten() -> None:
    granted = GrantedTokens()
    granted.put(b"a", Granted(Grant(), 1, 10.0))
    assert granted.get(b"a", 2, 0.0) is None
    assert granted.get(b"a", 1, 0.0) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"algorithms": ("none",)}, "'none' is not one of", id="none"),
        pytest.param({"algorithms": ("RS256", "HS256")}, "'HS256' is not one of", id="symmetric"),
        pytest.param({"algorithms": ("rs256",)}, "'rs256' is not one of", id="lower-case"),
        pytest.param({"algorithms": ()}, "must name one or more", id="no-algorithm"),
        pytest.param({"algorithms": "RS256"}, "must name one or more", id="text-of-algorithms"),
        pytest.param({"issuer": ""}, "issuer", id="no-issuer"),
        pytest.param({"audience": ()}, "audience", id="no-audience"),
        pytest.param({"audience": ("",)}, "audience", id="empty-audience"),
        pytest.param({"audience": "files"}, "audience", id="text-of-audiences"),
        pytest.param({"leeway_seconds": -1.0}, "leeway_seconds", id="negative-leeway"),
        pytest.param({"leeway_seconds": float("nan")}, "leeway_seconds", id="no-leeway"),
        pytest.param({"leeway_seconds": MAX_LEEWAY_SECONDS + 1}, "leeway_seconds", id="long-leeway"),
        pytest.param({"required_claims": {"scope": " "}}, "required_claims", id="empty-claim"),
        pytest.param({"required_claims": {"": "a"}}, "required_claims", id="nameless-claim"),
        pytest.param({"cookie": ""}, "cookie", id="nameless-cookie"),
        pytest.param({"cookie": "a;b"}, "cookie", id="cookie-separator"),
        pytest.param({"parameter": "a&b"}, "parameter", id="parameter-separator"),
        pytest.param({"realm": 'a"b'}, "realm", id="realm-quote"),
        pytest.param({"realm": "a\r\nb"}, "realm", id="realm-line"),
        pytest.param({"realm": "a\n"}, "realm", id="realm-line-at-the-end"),
    ],
)
def test_options_that_cannot_be_used_are_refused(change: dict[str, Any], message: str) -> None:
    good = {"issuer": "https://id.example", "audience": ("files",), "algorithms": ("RS256",)}
    with pytest.raises(BadBearerOptions, match=message):
        BearerOptions(**{**good, **change})


def test_every_allowed_algorithm_is_asymmetric_and_known_to_pyjwt() -> None:
    known = jwt.algorithms.get_default_algorithms()
    assert known.keys() >= ALGORITHMS
    assert not any(isinstance(known[name], jwt.algorithms.HMACAlgorithm) for name in ALGORITHMS)


MALFORMED = {"PyJWTError", "InvalidTokenError", "DecodeError"}
NEVER_FOR_A_TOKEN = {
    *("MissingCryptographyError", "PyJWKClientConnectionError", "PyJWKClientError", "PyJWKError"),
    "PyJWKSetError",
}


def test_every_exception_of_pyjwt_has_a_reason() -> None:
    classes = {
        each.__name__: each
        for each in vars(jwt.exceptions).values()
        if isinstance(each, type) and issubclass(each, jwt.PyJWTError)
    }
    own = {kind.__name__ for kind, _ in REASONS[:-1]}
    assert own | MALFORMED | NEVER_FOR_A_TOKEN == classes.keys()
    for kind, text in REASONS:
        assert reason_for(kind("secret")) == text


SIGNER = Signer("ES256", "fuzzed")
OTHER = Signer("ES256", "other")
GOOD = {"iss": "https://id.example", "aud": "files", "sub": "alice", "exp": 99999999999}
OPTIONS = BearerOptions(
    issuer="https://id.example",
    audience=("files",),
    algorithms=tuple(sorted(ALGORITHMS)),
    cookie="token",
    parameter="token",
)


@pytest.fixture(scope="module")
def asked() -> Iterator[Callable[[AccessRequest], Verdict]]:
    """Ask one verifier, outside of any event loop."""
    keys: KeySource = HeldKeys(
        SIGNER, Signer("ES256", "fuzzed"), Signer("RS256", "rsa"), Signer("EdDSA", "ed")
    )
    tokens = BearerTokens(OPTIONS, keys)
    with asyncio.Runner() as runner:
        yield lambda sent: runner.run(tokens.verify(sent))


def good_token(claims: object = GOOD, signer: Signer = SIGNER, **header: object) -> str:
    return signer.sign(json.dumps(claims).encode(), {"alg": "ES256", "kid": "fuzzed", **header})


def assert_refused(verdict: Verdict, token: str) -> None:
    assert isinstance(verdict, Refusal)
    assert verdict.status in (400, 401)
    parts = [part for part in token.split(".") if len(part) > 8]
    assert not [part for part in parts if part in verdict.reason + str(verdict.challenge)]


TEXT = st.text('aZ09-_=+/. {}"\\,;&%\x00\x7f\u00e9', max_size=60)
NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 1e308, 2**63, -0.0, 1e-320, 10**4000])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(TEXT)
def test_any_text_is_refused(asked: Callable[[AccessRequest], Verdict], text: str) -> None:
    for shown in (request(text), request(authorization=text), request(query=f"token={text}")):
        assert isinstance(asked(shown), Refusal)
    assert isinstance(asked(request(cookie=f"token={text}")), Refusal)


@given(st.data())
def test_any_change_of_a_good_token_is_refused(
    asked: Callable[[AccessRequest], Verdict], data: st.DataObject
) -> None:
    token = good_token()
    assert isinstance(asked(request(token)), Grant)
    start = data.draw(st.integers(0, len(token) - 1))
    end = data.draw(st.integers(start, min(len(token), start + 5)))
    changed = token[:start] + data.draw(st.text("aZ09-_.", max_size=5)) + token[end:]
    if changed != token:
        assert_refused(asked(request(changed)), changed)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip"]), JSON)
)
def test_any_header_is_refused(asked: Callable[[AccessRequest], Verdict], header: dict[str, object]) -> None:
    _, payload, signature = good_token().split(".")
    token = f"{encoded({'alg': 'ES256', 'kid': 'fuzzed', 'made': 'up', **header})}.{payload}.{signature}"
    assert_refused(asked(request(token)), token)


@given(st.sampled_from([*sorted(ALGORITHMS), "HS256", "none", "ES256K"]), st.sampled_from(["rsa", "ed", "x"]))
def test_any_swap_of_algorithm_and_key_is_refused(
    asked: Callable[[AccessRequest], Verdict], algorithm: str, kid: str
) -> None:
    _, payload, signature = good_token().split(".")
    token = f"{encoded({'alg': algorithm, 'kid': kid})}.{payload}.{signature}"
    assert_refused(asked(request(token)), token)


@given(st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "scope"]), JSON))
def test_any_signed_claims_get_a_verdict_that_can_be_written(
    asked: Callable[[AccessRequest], Verdict], claims: dict[str, object]
) -> None:
    match asked(request(good_token({**GOOD, **claims}))):
        case Grant(subject=subject, claims=granted):
            assert "".join((str(subject), *granted, *granted.values())).encode() is not None
            assert [type(text) for text in granted.values()] == [str] * len(granted)
        case Refusal(status=status):
            assert status in (400, 401)


@given(JSON)
def test_any_signed_payload_gets_a_verdict(
    asked: Callable[[AccessRequest], Verdict], payload: object
) -> None:
    assert isinstance(asked(request(good_token(payload))), Refusal)


@given(JSON)
def test_any_claims_of_another_signer_are_refused(
    asked: Callable[[AccessRequest], Verdict], extra: object
) -> None:
    for token in (
        good_token({**GOOD, "x": extra}, OTHER),
        good_token({**GOOD, "x": extra}, OTHER, kid="other"),
    ):
        assert_refused(asked(request(token)), token)


async def test_address_of_keys_serves_without_discovery(provider: OidcProvider) -> None:
    async with BearerTokens(options(provider), JwksClient(JwksUrl(provider.jwks_uri))) as tokens:
        assert isinstance(await tokens.verify(request(provider.token())), Grant)


@pytest.mark.parametrize("place", [JwksUrl("https://a.example/keys"), Issuer("https://a.example/")])
def test_address_in_the_place_of_keys_is_refused(place: JwksUrl | Issuer) -> None:
    options = BearerOptions(issuer="https://a.example/", audience=("a",), algorithms=("RS256",))
    with pytest.raises(TypeError, match=rf"give JwksClient\({type(place).__name__}"):
        BearerTokens(options, place)  # type: ignore[arg-type]
