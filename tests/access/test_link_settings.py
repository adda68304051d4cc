"""Keys, names and claims of signed links that an operator cannot use, and what is told of them."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sluicegate.access.errors import BadCredentials
from sluicegate.access.link_claims import LONGEST_PREFIX, LinkClaims, is_link_id, new_link_id
from sluicegate.access.links import LinkOptions, SignedLinks

from .signing import NEW_KEY, OLD_KEY


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        pytest.param({}, "at least one key", id="none"),
        pytest.param({"k1": OLD_KEY[:31]}, "31 characters, and needs at least 32", id="short"),
        pytest.param({"k1": OLD_KEY, "k2": ""}, "'k2' has 0 characters", id="empty"),
        pytest.param({"a.b": OLD_KEY}, "'a.b' needs 1 to 64", id="dot-in-the-id"),
        pytest.param({"": OLD_KEY}, "needs 1 to 64", id="empty-id"),
        pytest.param({"a" * 65: OLD_KEY}, "needs 1 to 64", id="long-id"),
        pytest.param({"k1": NEW_KEY + "\udcff"}, "'k1' has characters", id="bytes-of-the-environment"),
        pytest.param({1: NEW_KEY}, "the key id 1 needs 1 to 64", id="number-for-an-id"),
    ],
)
def test_keys_that_cannot_be_used_are_told_without_being_shown(keys: dict[str, str], words: str) -> None:
    with pytest.raises(BadCredentials, match=words) as raised:
        SignedLinks(keys)
    assert raised.value.__cause__ is None
    for secret in filter(None, keys.values()):
        assert secret[:31] not in str(raised.value)


@pytest.mark.parametrize("secret", [b"k" * 32, 5, None], ids=["bytes", "number", "nothing"])
def test_key_that_is_no_text_is_told_by_its_id_and_what_makes_one(secret: Any) -> None:
    told = f"the key 'k1' is of type {type(secret).__name__}, and must be text of at least 32 characters: "
    with pytest.raises(BadCredentials, match=re.escape(told) + r".*secrets.token_urlsafe\(32\)"):
        SignedLinks({"k2": NEW_KEY, "k1": secret})


@pytest.mark.parametrize("keys", [OLD_KEY, [OLD_KEY], None], ids=["text", "list", "nothing"])
def test_keys_without_ids_are_refused(keys: Any) -> None:
    with pytest.raises(TypeError, match=r"keys is a mapping, such as {'k1': secret}, got") as raised:
        SignedLinks(keys)
    assert OLD_KEY not in str(raised.value)


@pytest.mark.parametrize("seconds", ["7d", timedelta(days=7), None, float("nan"), 0, -1], ids=str)
def test_lifetime_that_is_no_number_of_seconds_is_told(seconds: Any) -> None:
    with pytest.raises(BadCredentials, match="expires_in is a number of seconds above 0, found"):
        SignedLinks({"k1": NEW_KEY}).link("/a", seconds)


@pytest.mark.parametrize("path", [b"/a", Path("/a"), None], ids=str)
def test_path_that_is_no_text_is_told(path: Any) -> None:
    with pytest.raises(BadCredentials, match=r"the path .* must be text"):
        SignedLinks({"k1": NEW_KEY}).link(path, 60)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"prefix": "/a"}, "must begin and end with '/'"),
        ({"prefix": "a/"}, "must begin and end with '/'"),
        ({"prefix": ""}, "must begin and end with '/'"),
        ({"prefix": "/" + "a" * LONGEST_PREFIX + "/"}, "at most 1024"),
        ({"prefix": "/caf%c3%a9/"}, "must be written '/caf%C3%A9/'"),
        ({"prefix": "/a b/"}, "must be written '/a%20b/'"),
        ({"prefix": "/a/../"}, "cannot be signed"),
        ({"prefix": "/a/?x=/"}, "cannot be signed"),
        ({"prefix": "/a; Domain=x/"}, "must be written"),
        ({"prefix": "/a;b/"}, "no ';' and no ','"),
        ({"prefix": "/a,b/"}, "no ';' and no ','"),
        ({"network": "192.0.2.1/24"}, "network"),
        ({"network": "example.com"}, "network"),
        ({"network": ""}, "network"),
        ({"filename": ""}, "filename"),
        ({"filename": " "}, "filename"),
        ({"filename": ".."}, "filename"),
        ({"filename": "a/b"}, "filename"),
        ({"filename": "a\\b"}, "filename"),
        ({"filename": "a\r\nb"}, "filename"),
        ({"filename": "a\x85b"}, "filename"),
        ({"filename": "a\ud800"}, "filename"),
        ({"filename": "a" * 256}, "filename"),
        ({"not_before": -1}, "not_before"),
        ({"not_before": 10**12}, "not_before"),
        ({"not_before": 1.5}, "not_before is of the type int, found float"),
        ({"uses": 0}, "uses"),
        ({"uses": True}, "uses is of the type int, found bool"),
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "a" * 65}, "id"),
        ({"subject": ""}, "subject"),
        ({"subject": "a\nb"}, "subject"),
        ({"subject": "\ud800"}, "subject"),
        ({"subject": "a" * 256}, "subject"),
        ({"subject": 7}, "subject is of the type str, found int"),
    ],
)
def test_claim_that_cannot_be_signed_is_told(claims: dict[str, str], words: str) -> None:
    with pytest.raises(BadCredentials, match=words):
        LinkClaims(**claims)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a&b", "a;b", "é", "a\n"])
def test_names_that_no_query_and_no_cookie_can_have_are_told(name: str) -> None:
    with pytest.raises(BadCredentials, match="parameter"):
        LinkOptions(parameter=name)
    if name != "a&b":
        with pytest.raises(BadCredentials, match="cookie"):
            LinkOptions(cookie=name)


def test_no_two_links_have_the_same_new_id() -> None:
    ids = {new_link_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_link_id(link_id) for link_id in ids)
