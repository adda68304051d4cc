"""Tokens of signed links: only who has a key makes one, and nothing that a client sends breaks the check."""

import ast
import inspect
import string
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.base import AccessRequest, Grant, Refusal
from sluicegate.access.errors import BadCredentials
from sluicegate.access.link_claims import LONGEST_PREFIX, LinkClaims
from sluicegate.access.links import LONGEST_TOKEN, SignedLinks

from .signing import KEYS, NOW, Clock, forged, mac, text64

LINKS = SignedLinks(KEYS, clock=Clock())
NO_TOKEN = Refusal(reason="not a link's token", status=403)
OTHER_PATH = Refusal(reason="the signature is not that of this path", status=403)
NOT_UNDERSTOOD = Refusal(reason="the claims of the link cannot be read", status=403)

EXACT = LINKS.sign("/a/b", 60, LinkClaims(id="x"))
PREFIX = LINKS.sign("", 60, LinkClaims(prefix="/a/"))
PLAIN = LINKS.sign("/a/b", 60)
TOKENS = pytest.mark.parametrize("token", [EXACT, PREFIX, PLAIN], ids=["exact", "prefix", "no-claims"])
ALPHABET = string.ascii_letters + string.digits + "-_.=%+/ \n\x00é"


def granted(token: str, path: str = "/a/b") -> bool:
    return not isinstance(LINKS.check(token, "GET", path), Refusal)


# The format.


def test_token_is_what_the_format_says() -> None:
    assert forged("e", {"id": "x"}, "/a/b") == EXACT
    assert forged("p", {"p": "/a/"}, "") == PREFIX
    head = f"e.k1.{NOW + 60}."
    assert f"{head}.{mac(head, '/a/b')}" == PLAIN


def test_all_claims_are_read_as_they_were_signed() -> None:
    claims = LinkClaims(
        prefix="/a/",
        not_before=NOW - 1,
        network="192.0.2.0/24",
        filename="é 日.jpg",
        uses=3,
        id="x-1",
        subject="anna",
    )
    link = LINKS.check(LINKS.sign("", 60, claims), "GET", "/a/b")
    assert not isinstance(link, Refusal)
    assert (link.key_id, link.expires, link.claims) == ("k1", NOW + 60, claims)


# Forgeries without a key.


@TOKENS
def test_token_with_any_one_character_changed_is_refused(token: str) -> None:
    assert granted(token)
    for position, was in enumerate(token):
        for char in ALPHABET.replace(was, ""):
            assert not granted(token[:position] + char + token[position + 1 :])


@TOKENS
def test_token_with_any_one_character_more_or_less_is_refused(token: str) -> None:
    for position in range(len(token)):
        assert not granted(token[:position] + token[position + 1 :])
        assert not granted(token[:position])
        for char in ALPHABET:
            assert not granted(token[:position] + char + token[position:])
    for char in ALPHABET:
        assert not granted(token + char)


def test_parts_of_two_tokens_make_no_third() -> None:
    one, other = LINKS.sign("/a/b", 60).split("."), LINKS.sign("/a/b", 90, LinkClaims(id="y")).split(".")
    for part in range(5):
        mixed = ".".join([*one[:part], other[part], *one[part + 1 :]])
        assert granted(mixed) == (one[part] == other[part])


def test_exact_token_is_no_prefix_token_and_the_other_way_round() -> None:
    assert LINKS.check("p" + EXACT[1:], "GET", "/a/b") == OTHER_PATH
    assert LINKS.check("e" + PREFIX[1:], "GET", "/a/b") == OTHER_PATH
    # Made with the key, by somebody who mixes them up.
    assert LINKS.check(forged("e", {"p": "/a/"}, "/a/b"), "GET", "/a/b") == NOT_UNDERSTOOD
    assert LINKS.check(forged("p", {}, ""), "GET", "/a/b") == NOT_UNDERSTOOD
    assert LINKS.check(forged("p", {"p": "/a/"}, "/a/b"), "GET", "/a/b") == OTHER_PATH
    assert LINKS.check(forged("e", {}, ""), "GET", "/a/b") == OTHER_PATH


@pytest.mark.parametrize("method", ["PUT", "HEAD", "DELETE", ""])
def test_token_of_another_method_is_refused(method: str) -> None:
    assert LINKS.check(forged("e", {}, "/a/b", method=method), "GET", "/a/b") == OTHER_PATH


def test_lines_of_what_is_signed_cannot_be_moved() -> None:
    head = f"e.k1.{NOW + 60}."
    # The MAC of a path with a line break in it, as that of a method, a path and something behind.
    assert LINKS.check(f"{head}.{mac(head, 'x', method='GET')}", "GET", "x\n") == OTHER_PATH
    assert LINKS.check(f"{head}.{mac(head, '/b', method='GET')}", "GET", "\nGET\n/b") == OTHER_PATH


@pytest.mark.parametrize("expires", ["", "-1", "+1", "1e9", " 1", "1_0", "٣٣", "9" * 13, "0x1"])
def test_end_that_is_no_number_is_no_token(expires: str) -> None:
    assert LINKS.check(forged("e", {}, "/a/b", expires=expires), "GET", "/a/b") == NO_TOKEN


@pytest.mark.parametrize(
    "token",
    ["", ".", "....", "e.k1.1..", "x.k1.9999999999.." + "A" * 43, "e.k1.9999999999.." + "A" * 43 + "\n"],
)
def test_text_that_is_no_token_is_refused(token: str) -> None:
    assert LINKS.check(token, "GET", "/a/b") == NO_TOKEN


def test_token_longer_than_allowed_is_not_looked_at() -> None:
    def padded(size: int) -> bytes:
        return b'{"id":"x"}' + b" " * size

    lengths = {size: len(forged("e", padded(size), "/a/b")) for size in range(LONGEST_TOKEN)}
    fitting = max(size for size, length in lengths.items() if length <= LONGEST_TOKEN)
    assert granted(forged("e", padded(fitting), "/a/b"))
    assert LINKS.check(forged("e", padded(fitting + 3), "/a/b"), "GET", "/a/b") == NO_TOKEN


def test_token_longer_than_allowed_is_not_made() -> None:
    longest = "/" + "a" * (LONGEST_PREFIX - 2) + "/"
    LINKS.sign("", 60, LinkClaims(prefix=longest, filename="a" * 255))
    with pytest.raises(BadCredentials, match=f"{LONGEST_TOKEN} are allowed"):
        LINKS.sign("", 60, LinkClaims(prefix=longest, filename="é" * 255, subject="é" * 255))


def test_signatures_are_compared_in_constant_time() -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(SignedLinks.check)))
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "hmac.compare_digest(mac, expected)" in calls
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    names = {name.id for node in compared for name in ast.walk(node) if isinstance(name, ast.Name)}
    assert not {"mac", "expected"} & names
    # Nor are they used in any other way than this one call.
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    assert sorted(node.id for node in uses if node.id in ("mac", "expected")) == ["expected", "mac"]


# Claims that somebody with a key has signed, and that are not understood.


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"x": 1}, id="unknown"),
        pytest.param({"id": "x", "geo": "DE"}, id="unknown-among-others"),
        pytest.param({"prefix": "/a/"}, id="name-in-full"),
        pytest.param({"nb": str(NOW)}, id="time-as-text"),
        pytest.param({"nb": 1.5}, id="time-with-a-fraction"),
        pytest.param({"nb": True}, id="time-as-truth"),
        pytest.param({"nb": -1}, id="time-below-zero"),
        pytest.param({"nb": 10**12}, id="time-too-late"),
        pytest.param({"n": 0}, id="no-uses"),
        pytest.param({"n": True}, id="uses-as-truth"),
        pytest.param({"n": [1]}, id="uses-as-list"),
        pytest.param({"net": 5}, id="network-as-number"),
        pytest.param({"net": "192.0.2.1/24"}, id="network-with-bits-behind"),
        pytest.param({"net": ""}, id="network-empty"),
        pytest.param({"fn": "a/b"}, id="file-name-with-a-slash"),
        pytest.param({"fn": "a\r\nb"}, id="file-name-with-a-line-break"),
        pytest.param({"fn": "\ud800"}, id="file-name-with-half-a-character"),
        pytest.param({"fn": ["a"]}, id="file-name-as-list"),
        pytest.param({"sub": 5}, id="subject-as-number"),
        pytest.param({"sub": "a\nb"}, id="subject-with-a-line-break"),
        pytest.param({"id": ""}, id="id-empty"),
        pytest.param({"id": 7}, id="id-as-number"),
        pytest.param([], id="list"),
        pytest.param(["id"], id="list-of-names"),
        pytest.param("id", id="text"),
        pytest.param(0, id="number"),
        pytest.param(None, id="null"),
        pytest.param(False, id="truth"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"{}{}", id="two"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="utf-16"),
        pytest.param(b'{"sub":"\xff"}', id="no-utf-8"),
        pytest.param(b"[" * 1400, id="deep"),
        pytest.param(b'{"nb":' + b"9" * 1400 + b"}", id="long-number"),
        pytest.param(b'{"nb":NaN}', id="nan"),
    ],
)
def test_claims_that_are_not_understood_are_refused(said: object) -> None:
    assert LINKS.check(forged("e", said, "/a/b"), "GET", "/a/b") == NOT_UNDERSTOOD


@pytest.mark.parametrize("prefix", ["/a", "a/", "/%61/", "/a/../", "/a;/", "/a,/", "/a b/", "/a%2f/", ""])
def test_prefix_that_is_none_is_refused(prefix: str) -> None:
    assert LINKS.check(forged("p", {"p": prefix}, ""), "GET", "/a/b") == NOT_UNDERSTOOD


def test_claims_in_base64_of_no_possible_length_are_refused() -> None:
    head = f"e.k1.{NOW + 60}.A"
    assert LINKS.check(f"{head}.{mac(head, '/a/b')}", "GET", "/a/b") == NOT_UNDERSTOOD


# Anything that a client can send.

TEXTS = st.text(max_size=60) | st.text("epk1.A9-_=", max_size=60) | st.sampled_from([EXACT, PREFIX, PLAIN])
ANY_TEXT = TEXTS | st.text(st.characters(), max_size=20)
TOKENS_AND_BYTES = st.binary(max_size=20) | st.sampled_from([EXACT.encode(), PREFIX.encode()])


@given(ANY_TEXT, ANY_TEXT, st.sampled_from(["GET", "HEAD"]) | ANY_TEXT)
def test_check_never_raises_and_grants_nothing_by_chance(token: str, path: str, method: str) -> None:
    found = LINKS.check(token, method, path)
    if not isinstance(found, Refusal):
        assert method in ("GET", "HEAD")
        assert (token in (EXACT, PLAIN) and path == "/a/b") or (token == PREFIX and path.startswith("/a/"))


@given(
    query=ANY_TEXT | ANY_TEXT.map(lambda text: f"link={text}"),
    cookie=st.binary(max_size=40) | TOKENS_AND_BYTES.map(lambda value: b"sluicegate_link=" + value),
    path=ANY_TEXT,
)
async def test_verify_never_raises(query: str, cookie: bytes, path: str) -> None:
    request = AccessRequest("GET", path, query, [(b"cookie", cookie)])
    verdict = await LINKS.verify(request)
    assert isinstance(verdict, Grant | Refusal)
    if isinstance(verdict, Grant):
        assert path == "/a/b" or path.startswith("/a/")
    else:
        assert verdict.status == 403


@pytest.mark.parametrize("path", ["/a\ud800", "/é", "\ud800", "", "/a/b\n"])
def test_path_that_is_not_canonical_is_that_of_no_exact_link(path: str) -> None:
    assert LINKS.check(EXACT, "GET", path) == OTHER_PATH


@given(st.sampled_from("ep"), st.binary(max_size=60))
def test_no_signed_claims_raise(kind: str, said: bytes) -> None:
    head = f"{kind}.k1.{NOW + 60}.{text64(said)}"
    LINKS.check(f"{head}.{mac(head, '/a/b' if kind == 'e' else '')}", "GET", "/a/b")
