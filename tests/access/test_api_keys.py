"""API keys: who holds which, and what is refused."""

import hashlib
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.api_keys import MAX_KEY, ApiKeys, hash_key, new_key
from sluicegate.access.base import AccessRequest, Grant, Refusal, Verdict
from sluicegate.access.errors import BadCredentials

KEY, OTHER, UNKNOWN = new_key(), new_key(), new_key()
CHALLENGE = 'ApiKey realm="files"'

ABSENT = Refusal(reason="no API key", challenge=CHALLENGE, absent=True)
NOBODY = Refusal(reason="an API key that nobody holds", challenge=CHALLENGE)
DIFFERENT = Refusal(reason="two API keys that differ", challenge=CHALLENGE)
ALICE = Grant(subject="alice", claims={"sub": "alice"})


def request(*fields: tuple[bytes, bytes], query: str = "") -> AccessRequest:
    return AccessRequest("GET", "/photos/1.jpg", query, fields)


async def verdict(
    shown: AccessRequest, *stored: str, header: str = "x-api-key", parameter: str | None = None
) -> Verdict:
    async with ApiKeys({"alice": stored}, "files", header=header, parameter=parameter) as keys:
        return await keys.verify(shown)


def test_new_key_is_256_random_bits_that_url_and_field_can_hold() -> None:
    assert re.fullmatch(r"sg_[A-Za-z0-9_-]{43}", KEY)
    assert len({new_key() for _ in range(100)}) == 100


def test_stored_key_is_its_digest() -> None:
    assert hash_key("sg_x") == "sha256:" + hashlib.sha256(b"sg_x").hexdigest()


@pytest.mark.parametrize(
    "key",
    ["", " ", "key ", " key", "a\nb", "a\0b", "a\x7f", "k" * (MAX_KEY + 1), "\xe9" * MAX_KEY, "\ud800"],
    ids=["empty", "blank", "end", "start", "newline", "nul", "delete", "long", "long-utf-8", "surrogate"],
)
def test_what_cannot_be_sent_is_no_key(key: str) -> None:
    with pytest.raises(BadCredentials, match="1 to 512 bytes"):
        hash_key(key)


async def test_holder_of_the_key_is_granted_access() -> None:
    assert await verdict(request((b"x-api-key", KEY.encode())), hash_key(KEY)) == ALICE


async def test_old_and_new_key_hold_while_one_replaces_the_other() -> None:
    for key in (KEY, OTHER):
        assert await verdict(request((b"x-api-key", key.encode())), hash_key(KEY), hash_key(OTHER)) == ALICE


async def test_each_holder_is_told_apart() -> None:
    keys = ApiKeys({"alice": [hash_key(KEY)], "bob": [hash_key(OTHER)]}, "files")
    seen = [await keys.verify(request((b"x-api-key", key.encode()))) for key in (KEY, OTHER, UNKNOWN)]
    assert seen == [ALICE, Grant(subject="bob", claims={"sub": "bob"}), NOBODY]


@pytest.mark.parametrize(
    "key", ["x" * MAX_KEY, "sch\xf6n \u9280", 'a+b%20"\\'], ids=["longest", "utf-8", "odd"]
)
async def test_key_from_elsewhere_is_taken_by_its_bytes(key: str) -> None:
    assert await verdict(request((b"x-api-key", key.encode())), hash_key(key)) == ALICE
    shown = request(query=f"a=1&key={quote(key)}")
    assert await verdict(shown, hash_key(key), parameter="key") == ALICE


async def test_hexadecimal_digits_may_be_large() -> None:
    scheme, digits = hash_key(KEY).split(":")
    assert await verdict(request((b"x-api-key", KEY.encode())), f"{scheme}:{digits.upper()}") == ALICE


async def test_field_and_parameter_are_those_that_were_named() -> None:
    asked = request((b"x-api-key", KEY.encode()), query=f"key={KEY}")
    assert await verdict(asked, hash_key(KEY), header="X-Other", parameter="other") == ABSENT
    field, query = request((b"x-other", KEY.encode())), request(query=f"other={KEY}")
    assert await verdict(field, hash_key(KEY), header="X-Other") == ALICE
    assert await verdict(query, hash_key(KEY), parameter="other") == ALICE


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param(request(), ABSENT, id="none"),
        pytest.param(request(query="other=1"), ABSENT, id="another-parameter"),
        pytest.param(request((b"x-api-key", b"")), NOBODY, id="empty"),
        pytest.param(request((b"x-api-key", UNKNOWN.encode())), NOBODY, id="unknown"),
        pytest.param(request((b"x-api-key", KEY[:-1].encode())), NOBODY, id="shortened"),
        pytest.param(request((b"x-api-key", hash_key(KEY).encode())), NOBODY, id="what-is-stored"),
        pytest.param(request((b"x-api-key", b"k" * 100_000)), NOBODY, id="long"),
        pytest.param(request((b"x-api-key", KEY.encode()), (b"x-api-key", b"k")), NOBODY, id="two-fields"),
        pytest.param(request(query="key="), NOBODY, id="empty-parameter"),
        pytest.param(request(query="key=%41%zz%"), NOBODY, id="broken-escapes"),
        pytest.param(request(query="key=" + "%41" * 100_000), NOBODY, id="long-parameter"),
        pytest.param(request((b"x-api-key", KEY.encode()), query="key=k"), DIFFERENT, id="two-that-differ"),
        pytest.param(request((b"x-api-key", b"k"), query=f"key={KEY}"), DIFFERENT, id="and-the-other-way"),
        pytest.param(request((b"x-api-key", KEY.encode()), query=f"key={KEY}"), ALICE, id="the-same-twice"),
    ],
)
async def test_what_else_is_shown(shown: AccessRequest, expected: Verdict) -> None:
    assert await verdict(shown, hash_key(KEY), parameter="key") == expected


@pytest.mark.parametrize("key", [b"", b"k" * (MAX_KEY + 1)], ids=["empty", "long"])
async def test_key_out_of_bounds_is_none_even_if_its_digest_is_stored(key: bytes) -> None:
    stored = "sha256:" + hashlib.sha256(key).hexdigest()
    assert await verdict(request((b"x-api-key", key)), stored) == NOBODY
    assert await verdict(request(query="key=" + key.decode()), stored, parameter="key") == NOBODY


async def test_parameter_counts_only_where_one_is_named() -> None:
    assert await verdict(request(query=f"key={KEY}"), hash_key(KEY)) == ABSENT


async def test_holder_without_keys_has_no_access() -> None:
    assert await verdict(request((b"x-api-key", KEY.encode()))) == NOBODY


async def test_realm_is_quoted() -> None:
    refusal = await ApiKeys({}, 'the "big" \\ one').verify(request())
    assert isinstance(refusal, Refusal)
    assert refusal.challenge == r'ApiKey realm="the \"big\" \\ one"'


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"sha256:{KEY}",
        "sha256:" + "a" * 63,
        "sha256:" + "g" * 64,
        "md5:" + "a" * 32,
        hash_key(KEY) + "\n",
    ],
    ids=["plain", "named", "short", "not-hexadecimal", "other", "newline"],
)
def test_value_that_is_no_digest_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(BadCredentials, match="key 2 of 'bob' must be stored as") as raised:
        ApiKeys({"alice": [hash_key(KEY)], "bob": [hash_key(OTHER), value]}, "files")
    assert value.strip() not in str(raised.value)
    assert raised.value.__cause__ is None


def test_two_holders_of_one_key_are_refused() -> None:
    with pytest.raises(BadCredentials, match="'alice' and 'bob' have the same key"):
        ApiKeys({"alice": [hash_key(KEY)], "bob": [hash_key(OTHER), hash_key(KEY)]}, "files")


def test_key_that_its_holder_has_twice_is_one() -> None:
    ApiKeys({"alice": [hash_key(KEY), hash_key(KEY)]}, "files")


@pytest.mark.parametrize("holder", ["", "a\nb", "\0"])
def test_holder_without_a_name_for_the_log_is_refused(holder: str) -> None:
    with pytest.raises(BadCredentials, match="needs a name"):
        ApiKeys({holder: [hash_key(KEY)]}, "files")


def test_one_text_is_no_list_of_keys() -> None:
    with pytest.raises(BadCredentials, match="the keys of 'alice' must be a list"):
        ApiKeys({"alice": hash_key(KEY)}, "files")


@pytest.mark.parametrize("header", ["", "x api key", "x-api-key:", "\xe9"])
def test_header_that_is_no_name_is_refused(header: str) -> None:
    with pytest.raises(BadCredentials, match="no name of a field"):
        ApiKeys({}, "files", header=header)


@pytest.mark.parametrize("parameter", ["", "a=b", "a&b", "a b", "%41"])
def test_parameter_that_would_be_encoded_is_refused(parameter: str) -> None:
    with pytest.raises(BadCredentials, match="letters, digits"):
        ApiKeys({}, "files", parameter=parameter)


@pytest.mark.parametrize("realm", ["", "a\r\nb", "\xe9", "r" * 201])
def test_realm_that_cannot_be_sent_is_refused(realm: str) -> None:
    with pytest.raises(BadCredentials, match="realm"):
        ApiKeys({}, realm)


@given(value=st.binary(max_size=600), query=st.binary(max_size=600), both=st.booleans())
async def test_any_bytes_are_refused_without_an_exception(value: bytes, query: bytes, both: bool) -> None:
    fields = ((b"x-api-key", value),) if both else ()
    shown = request(*fields, query="key=" + query.decode("latin-1"))
    seen = await verdict(shown, hash_key(KEY), parameter="key")
    assert isinstance(seen, Refusal)
    assert (seen.status, seen.challenge) == (401, CHALLENGE)


def test_keys_without_names_are_refused() -> None:
    with pytest.raises(TypeError, match=r"keys is a mapping, such as .*, got list"):
        ApiKeys(["x"], "files")  # type: ignore[arg-type]
