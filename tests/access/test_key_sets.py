"""Keys that are fetched, cached and rotated: what is asked how often, what is believed, how long."""

import asyncio
import base64
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey
from jwt.algorithms import RSAAlgorithm

from sluicegate.access import keys
from sluicegate.access.bearer_options import ALGORITHMS
from sluicegate.access.key_sets import (
    COOLDOWN_SECONDS,
    MAX_ANSWER_BYTES,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    FileKeys,
    Issuer,
    JwksClient,
    JwksUrl,
    read_discovery,
)
from sluicegate.access.keys import MAX_CANDIDATES, MAX_KEYS, BadKeys, KeySet, parse_key_set, parse_pem
from tests.servers.oidc import DISCOVERY_PATH, KEYS_PATH, OidcProvider, Signer, oidc_provider
from tests.sources.raw_origin import STALL, Answer, answer, raw_origin

WAITERS = 50
WEAK = rsa.generate_private_key(65537, 1024).public_key()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def client(provider: OidcProvider, clock: Clock) -> AsyncIterator[JwksClient]:
    async with JwksClient(JwksUrl(provider.jwks_uri), clock=clock) as entered:
        yield entered


def names(keys: KeySet | None) -> list[str | None] | None:
    return None if keys is None else [key.kid for key in keys.keys]


async def test_issuer_leads_to_its_keys(provider: OidcProvider) -> None:
    async with JwksClient(Issuer(provider.issuer)) as keys:
        assert provider.requests == []
        assert names(await keys.keys("any")) == [provider.signer.kid]
    assert provider.requests == [DISCOVERY_PATH, KEYS_PATH]


async def test_keys_at_hand_cost_no_request(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        assert keys.known is None
        first = await keys.keys(provider.signer.kid)
        clock.pass_seconds(REFRESH_SECONDS)
        assert await keys.keys(provider.signer.kid) is first
        assert keys.known is first
    assert provider.key_requests() == 1


async def test_keys_are_fetched_again_when_due(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        old = await keys.keys(provider.signer.kid)
        provider.rotate(keep=False)
        clock.pass_seconds(REFRESH_SECONDS + 1)
        # The old name is asked for: it is known, but who withdrew it must be heard.
        new = await keys.keys("any")
        assert old is not None
        assert new is not None
        assert names(new) == [provider.signer.kid]
        assert new.generation != old.generation


async def test_same_keys_stay_the_same_generation(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        old = await keys.keys(None)
        clock.pass_seconds(REFRESH_SECONDS + 1)
        assert await keys.keys(None) == old
    assert provider.key_requests() == 2


async def test_unknown_name_costs_one_fetch_in_each_cooldown(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        await keys.keys(provider.signer.kid)
        for number in range(20):
            await keys.keys(f"forged-{number}")
        assert provider.key_requests() == 2
        clock.pass_seconds(COOLDOWN_SECONDS - 1)
        await keys.keys("forged")
        assert provider.key_requests() == 2
        clock.pass_seconds(1)
        await keys.keys("forged")
        assert provider.key_requests() == 3


async def test_rotation_in_mid_flight_is_followed_after_one_fetch(
    provider: OidcProvider, clock: Clock
) -> None:
    async with client(provider, clock) as keys:
        old = provider.signer.kid
        await keys.keys(old)
        provider.rotate(keep=True)
        assert names(await keys.keys(provider.signer.kid)) == [old, provider.signer.kid]
    assert provider.key_requests() == 2


async def test_many_who_wait_cost_one_fetch(provider: OidcProvider, clock: Clock) -> None:
    provider.hold()
    async with client(provider, clock) as keys:
        waiting = [asyncio.create_task(keys.keys(f"name-{number}")) for number in range(WAITERS)]
        await asyncio.to_thread(provider.wait_until_asked)
        provider.release()
        found = await asyncio.gather(*waiting)
    assert [names(each) for each in found] == [[provider.signer.kid]] * WAITERS
    assert provider.key_requests() == 1


async def test_cancelled_waiter_leaves_the_fetch_to_the_others(provider: OidcProvider, clock: Clock) -> None:
    provider.hold()
    async with client(provider, clock) as keys:
        first, second = (asyncio.create_task(keys.keys(None)) for _ in range(2))
        await asyncio.to_thread(provider.wait_until_asked)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        provider.release()
        assert names(await second) == [provider.signer.kid]
    assert provider.key_requests() == 1


async def test_known_name_does_not_wait_for_an_unknown_one(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        known = await keys.keys(None)
        provider.hold()
        seeking = asyncio.create_task(keys.keys("forged"))
        await asyncio.to_thread(provider.wait_until_asked, 2)
        assert await keys.keys(provider.signer.kid) is known
        assert not seeking.done()
        provider.release()
        assert await seeking == known


async def test_leaving_ends_a_fetch_that_hangs(provider: OidcProvider, clock: Clock) -> None:
    before = asyncio.all_tasks()
    provider.hold()
    async with client(provider, clock) as keys:
        waiting = asyncio.create_task(keys.keys(None))
        await asyncio.to_thread(provider.wait_until_asked)
    assert await waiting is None
    assert asyncio.all_tasks() == before


async def test_client_can_be_entered_again(provider: OidcProvider, clock: Clock) -> None:
    keys = JwksClient(JwksUrl(provider.jwks_uri), clock=clock)
    for _ in range(2):
        async with keys:
            assert keys.known is None
            assert names(await keys.keys(None)) == [provider.signer.kid]
    assert provider.key_requests() == 2


async def test_known_keys_go_on_while_the_provider_is_down(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        known = await keys.keys(None)
        provider.stop()
        clock.pass_seconds(STALE_SECONDS)
        assert await keys.keys(None) is known
        clock.pass_seconds(1)
        assert keys.known is None
        assert await keys.keys(None) is None


async def test_provider_that_comes_back_is_asked_again(provider: OidcProvider, clock: Clock) -> None:
    provider.stop()
    async with client(provider, clock) as keys:
        assert await keys.keys(None) is None
        provider.start()
        clock.pass_seconds(RETRY_SECONDS - 1)
        assert await keys.keys(None) is None
        assert provider.key_requests() == 0
        clock.pass_seconds(1)
        assert names(await keys.keys(None)) == [provider.signer.kid]


async def test_nobody_waits_for_a_provider_that_failed_before(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        known = await keys.keys(None)
        provider.answer(500)
        clock.pass_seconds(REFRESH_SECONDS + 1)
        await keys.keys(None)
        provider.hold()
        clock.pass_seconds(RETRY_SECONDS)
        before = asyncio.all_tasks()
        assert await keys.keys(None) is known
        assert len(asyncio.all_tasks() - before) == 1, "the fetch is over: it was waited for"
        await asyncio.to_thread(provider.wait_until_asked, 3)
        provider.release()


async def test_set_that_was_emptied_is_obeyed(provider: OidcProvider, clock: Clock) -> None:
    async with client(provider, clock) as keys:
        await keys.keys(None)
        provider.answer(200, b'{"keys": []}')
        clock.pass_seconds(REFRESH_SECONDS + 1)
        assert names(await keys.keys(None)) == []


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((500, b'{"keys": []}', {}), id="failure"),
        pytest.param((404, b'{"keys": []}', {}), id="missing"),
        pytest.param((204, b"", {}), id="no-content"),
        pytest.param((302, b"", {"Location": "/elsewhere"}), id="redirect"),
        pytest.param((200, b"<html>", {}), id="no-json"),
        pytest.param((200, b"\xff\xfe", {}), id="no-text"),
        pytest.param((200, b"[]", {}), id="no-object"),
        pytest.param((200, b"{}", {}), id="no-keys"),
        pytest.param((200, b'{"keys": {"a": 1}}', {}), id="keys-are-no-list"),
        pytest.param((200, b"[" * 100_000, {}), id="nested-for-ever"),
        pytest.param((200, json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode(), {}), id="too-many"),
        pytest.param((200, b'{"keys": []}'.ljust(MAX_ANSWER_BYTES + 1), {}), id="too-large"),
        pytest.param((200, gzip.compress(b'{"keys": []}'), {"Content-Encoding": "gzip"}), id="compressed"),
        pytest.param((200, b'{"keys": []}', {"Content-Length": "4000"}), id="cut-short"),
    ],
)
async def test_bad_answer_changes_nothing(
    provider: OidcProvider,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    bad: tuple[int, bytes, dict[str, str]],
) -> None:
    async with client(provider, clock) as keys:
        known = await keys.keys(None)
        status, content, fields = bad
        provider.answer(status, content, **fields)
        clock.pass_seconds(REFRESH_SECONDS + 1)
        assert await keys.keys(None) is known
    assert provider.requests == [KEYS_PATH] * 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([STALL], id="no-head"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{", STALL], id="no-end"),
    ],
)
async def test_provider_that_says_nothing_is_given_up(steps: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    # The limit on the whole is far away, and is not what ends it.
    monkeypatch.setattr("sluicegate.access.key_sets.FETCH_SECONDS", 1000.0)
    async with raw_origin(steps) as silent:
        async with JwksClient(JwksUrl(silent.url), read_seconds=0.05) as keys:
            async with asyncio.timeout(30):
                assert await keys.keys(None) is None
        await silent.quiet()


@pytest.mark.parametrize("trusted", [True, False])
async def test_certificate_is_checked(trusted: bool, clock: Clock) -> None:
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    content = json.dumps({"keys": [Signer("ES256", "secure").public()]}).encode()
    async with raw_origin([answer("200 OK", content)], tls=served) as origin:
        place = JwksUrl(f"{origin.url}/keys")
        async with JwksClient(place, tls=context if trusted else None, clock=clock) as keys:
            assert names(await keys.keys(None)) == (["secure"] if trusted else None)


async def test_message_has_no_query_and_no_content(
    provider: OidcProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.answer(200, b"private text")
    async with JwksClient(JwksUrl(f"{provider.jwks_uri}?secret=private")) as keys:
        assert await keys.keys(None) is None
    assert "could not be fetched" in caplog.text
    assert "private" not in caplog.text


async def test_discovery_document_of_another_issuer_is_refused(provider: OidcProvider) -> None:
    provider.issuer = "http://evil.example"
    async with JwksClient(Issuer(provider.url)) as keys:
        assert await keys.keys(None) is None
    assert provider.requests == [DISCOVERY_PATH]


def _document(**members: object) -> bytes:
    return json.dumps({"issuer": "https://id.example", **members}).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_document(), id="no-address"),
        pytest.param(_document(jwks_uri=7), id="no-text"),
        pytest.param(_document(jwks_uri="http://id.example/keys"), id="not-secure"),
        pytest.param(_document(jwks_uri="file:///etc/passwd"), id="file"),
        pytest.param(_document(jwks_uri="https://user@id.example/keys"), id="user"),
        pytest.param(_document(jwks_uri="https:///keys"), id="no-host"),
        pytest.param(_document(jwks_uri="https://[/keys"), id="no-address-at-all"),
        pytest.param(_document(issuer="https://id.example/", jwks_uri="https://id.example/k"), id="issuer"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b"garbage", id="no-json"),
    ],
)
def test_discovery_document_is_refused(content: bytes) -> None:
    with pytest.raises(BadKeys):
        read_discovery(content, "https://id.example")


def test_discovery_may_name_another_host() -> None:
    content = _document(jwks_uri="https://keys.example/v1?set=2")
    assert read_discovery(content, "https://id.example") == "https://keys.example/v1?set=2"


@pytest.mark.parametrize(
    ("issuer", "document"),
    [
        ("https://id.example", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/realms/a", "https://id.example/realms/a/.well-known/openid-configuration"),
    ],
)
def test_discovery_document_stands_below_the_issuer(issuer: str, document: str) -> None:
    assert Issuer(issuer).document == document


@pytest.mark.parametrize("place", [JwksUrl, Issuer])
@pytest.mark.parametrize("url", ["", "id.example", "ftp://id.example", "https://", "https://a:b@id.example"])
def test_place_that_is_no_address_is_refused(place: Callable[[str], object], url: str) -> None:
    with pytest.raises(BadKeys, match="https://"):
        place(url)


def test_issuer_with_a_query_is_refused() -> None:
    with pytest.raises(BadKeys, match="no query"):
        Issuer("https://id.example?tenant=1")


@pytest.mark.parametrize("option", ["refresh_seconds", "read_seconds"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), STALE_SECONDS + 1])
def test_seconds_out_of_bounds_are_refused(option: str, seconds: float) -> None:
    with pytest.raises(BadKeys, match=option):
        JwksClient(JwksUrl("https://id.example"), **{option: seconds})  # type: ignore[arg-type]


def base64url_uint(number: int) -> str:
    content = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _rsa(**members: object) -> dict[str, Any]:
    return {**Signer("RS256", "k").public(), **members}


def _ec(**members: object) -> dict[str, Any]:
    return {**Signer("ES256", "k").public(), **members}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(OctKey.generate_key(256).as_dict(private=True), id="symmetric"),
        pytest.param(ECKey.generate_key("P-256").as_dict(private=True), id="private"),
        pytest.param(RSAAlgorithm.to_jwk(WEAK, as_dict=True), id="weak"),
        pytest.param(ECKey.generate_key("secp256k1").as_dict(private=False), id="other-curve"),
        pytest.param(_rsa(use="enc"), id="for-encryption"),
        pytest.param(_rsa(key_ops=["encrypt"]), id="other-operation"),
        pytest.param(_rsa(key_ops="verify"), id="operations-no-list"),
        pytest.param(_rsa(alg="RSA-OAEP"), id="other-algorithm"),
        pytest.param(_rsa(alg="HS256"), id="confused-algorithm"),
        pytest.param(_rsa(alg=["RS256"]), id="algorithm-no-text"),
        pytest.param(_rsa(kid=7), id="name-no-text"),
        pytest.param(_rsa(kty="EC"), id="type-mismatch"),
        pytest.param(_rsa(kty=None), id="type-null"),
        pytest.param(_rsa(n=base64url_uint(2**16_000 + 1)), id="huge"),
        pytest.param(_rsa(n="!"), id="no-base64"),
        pytest.param(_rsa(n=7), id="no-text"),
        pytest.param(_rsa(e="AA"), id="exponent-zero"),
        pytest.param(_ec(x=_ec()["y"]), id="off-the-curve"),
        pytest.param(_ec(crv="P-384"), id="curve-mismatch"),
        pytest.param({}, id="empty"),
        pytest.param("key", id="no-object"),
    ],
)
def test_key_that_cannot_check_signatures_is_passed_over(key: object) -> None:
    good = _ec(kid="good")
    content = json.dumps({"keys": [key, good]}).encode()
    assert [each.kid for each in parse_key_set(content)] == ["good"]


TEXT = st.text('aZ09-_=+/. {}"\\\x00\u00e9\ud800', max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["kty", "kid", "use", "alg", "key_ops", "crv", "n", "e", "x", "y", "d"])
VALUES = JSON | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "sig", "RS256", "AQAB"])


@given(st.dictionaries(MEMBERS, VALUES))
def test_any_key_is_taken_or_passed_over(key: dict[str, object]) -> None:
    parse_key_set(json.dumps({"keys": [key, {**_SAMPLE, **key}]}).encode())


_SAMPLE = _ec()


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_a_key_set_or_is_refused(content: bytes) -> None:
    with suppress(BadKeys):
        parse_key_set(content)


def _set(*keys: dict[str, Any]) -> KeySet:
    return KeySet(parse_key_set(json.dumps({"keys": keys}).encode()))


def test_name_picks_the_key() -> None:
    keys = _set(_ec(kid="a"), _ec(kid="b"), _rsa(kid="c"))
    assert [key.kid for key in keys.fitting("ES256", "b")] == ["b"]


def test_key_of_another_type_never_fits() -> None:
    assert _set(_rsa(kid="a")).fitting("ES256", "a") == ()


def test_algorithm_of_the_key_binds_it() -> None:
    keys = _set(_rsa(alg="RS256"))
    assert keys.fitting("RS256", "k") == keys.keys
    assert keys.fitting("PS256", "k") == ()


def test_without_a_name_few_keys_are_tried() -> None:
    keys = _set(*(_ec(kid=str(number)) for number in range(10)))
    assert [key.kid for key in keys.fitting("ES256", None)] == [str(n) for n in range(MAX_CANDIDATES)]


def test_two_keys_of_one_name_are_both_tried() -> None:
    assert len(_set(_ec(kid="a"), _ec(kid="a")).fitting("ES256", "a")) == 2


async def test_file_of_a_key_set(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(json.dumps({"keys": [_ec(kid="a")]}).encode())
    async with FileKeys(file) as keys:
        assert keys.known is not None
        assert names(await keys.keys("b")) == ["a"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES512", "EdDSA"])
async def test_file_of_a_public_key_has_no_name(tmp_path: Path, algorithm: Any) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(Signer(algorithm).pem())
    async with FileKeys(file) as keys:
        known = await keys.keys("whatever")
        assert known is not None
        assert known.fitting(algorithm, "whatever") == known.keys


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(Signer("ES256").pem(private=True), "no public key", id="private"),
        pytest.param(Signer("ES256").pem() * 2, "more than one", id="two"),
        pytest.param(WEAK.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "2048", id="weak"),
        pytest.param(ECKey.generate_key("secp256k1").as_pem(private=False), "P-256", id="other-curve"),
        pytest.param(b"-----BEGIN PUBLIC KEY-----\ngarbage", "no public key", id="broken"),
        pytest.param(b"", "no JSON", id="empty"),
        pytest.param(b'{"keys": []}', "no public key", id="no-keys"),
        pytest.param(b" " * (MAX_ANSWER_BYTES + 1), "larger", id="large"),
    ],
)
async def test_file_that_cannot_be_used_is_refused_when_entered(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(BadKeys, match=message) as caught:
        await FileKeys(file).__aenter__()
    assert str(file) in str(caught.value)


async def test_missing_file_is_refused_when_entered(tmp_path: Path) -> None:
    with pytest.raises(BadKeys, match="No such file"):
        await FileKeys(tmp_path / "none").__aenter__()


def test_key_in_pem_is_for_every_algorithm_of_its_type() -> None:
    assert parse_pem(Signer("RS256").pem()).algorithms == {
        *("RS256", "RS384", "RS512"),
        *("PS256", "PS384", "PS512"),
    }


def test_algorithms_are_those_that_some_key_is_for() -> None:
    assert keys.RSA_ALGORITHMS | set(keys.CURVES.values()) | keys.EDWARDS_ALGORITHMS == ALGORITHMS
