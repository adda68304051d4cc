"""Keys, names and claims of signed links that an operator cannot use, and what is told of them."""

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
    ],
)
def test_keys_that_cannot_be_used_are_told_without_being_shown(keys: dict[str, str], words: str) -> None:
    with pytest.raises(BadCredentials, match=words) as raised:
        SignedLinks(keys)
    assert raised.value.__cause__ is None
    for secret in filter(None, keys.values()):
        assert secret[:31] not in str(raised.value)


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
