"""The canonical path: one text for each path, and the path that it stands for when it is read again."""

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sluicegate.gateway import routes
from sluicegate.http.paths import (
    BadPath,
    canonical_path,
    canonical_segments,
    has_control,
    has_dot_piece,
)
from sluicegate.testing.awkward_keys import AWKWARD_KEYS, AwkwardKey

PLAIN = "abcXYZ059._~!$&'()*+,;=:@-"


def is_segment(text: str) -> bool:
    return not has_control(text) and not has_dot_piece(text)


# Few characters, those that mean something in a path among them: so that two texts are often alike.
TEXTS = st.text(
    st.sampled_from("ab./\\%2Fe?#;+ ~é日🎉") | st.characters(exclude_categories=["Cs"]), max_size=8
)
SEGMENTS = st.lists(TEXTS.filter(is_segment), min_size=1, max_size=5).map(tuple)
RAW_PATHS = st.lists(
    st.sampled_from(
        ["/", "a", "b", ".", "..", "%2e", "%2F", "%2f", "%5C", "%25", "%", "%c3%a9", "%C3%A9", "%ff", "%00"]
    )
    | st.sampled_from([";", "+", "%20", " ", "?", "#", "~", "%7E", "é"]),
    max_size=10,
).map(lambda pieces: ("/" + "".join(pieces)).encode())


@given(SEGMENTS)
def test_canonical_path_is_read_as_the_segments_that_it_was_made_of(segments: tuple[str, ...]) -> None:
    assert canonical_segments(canonical_path(segments).encode("ascii")) == segments


@given(SEGMENTS, SEGMENTS)
def test_two_paths_never_have_the_same_canonical_path(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (canonical_path(one) == canonical_path(other)) == (one == other)


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_segments_that_no_client_can_send_are_told_apart_too(one: list[str], other: list[str]) -> None:
    assert (canonical_path(one) == canonical_path(other)) == (one == other)


@given(st.lists(st.text(PLAIN, max_size=6).filter(is_segment), min_size=1, max_size=5))
def test_plain_path_is_its_own_canonical_path(segments: list[str]) -> None:
    raw = "/" + "/".join(segments)
    assert canonical_path(canonical_segments(raw.encode())) == raw


@given(RAW_PATHS)
def test_canonical_path_of_a_canonical_path_is_itself(raw: bytes) -> None:
    try:
        canonical = canonical_path(canonical_segments(raw))
    except BadPath:
        assume(False)
    assert canonical_path(canonical_segments(canonical.encode())) == canonical


@given(SEGMENTS)
def test_each_spelling_of_a_path_has_the_same_canonical_path(segments: tuple[str, ...]) -> None:
    canonical = canonical_path(segments)
    everything = "".join(f"/{''.join(f'%{byte:02x}' for byte in text.encode())}" for text in segments)
    little = "".join(f"/{quote(text, safe=PLAIN)}" for text in segments)
    for spelling in (everything, everything.upper(), little, little.replace("%C3%A9", "é")):
        assert canonical_path(canonical_segments(spelling.encode())) == canonical


@given(RAW_PATHS | st.binary(max_size=20).map(lambda raw: b"/" + raw))
def test_path_that_access_is_decided_by_is_the_one_that_the_gateway_routes(raw: bytes) -> None:
    try:
        routed = routes.canonical_segments(raw)
    except routes.BadPath:
        with pytest.raises(BadPath):
            canonical_segments(raw)
    else:
        assert canonical_segments(canonical_path(canonical_segments(raw)).encode()) == routed


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_bad_path(raw: bytes) -> None:
    try:
        segments = canonical_segments(raw)
    except BadPath:
        return
    assert all(is_segment(segment) for segment in segments)


@pytest.mark.parametrize("awkward", AWKWARD_KEYS.values(), ids=AWKWARD_KEYS.keys())
def test_awkward_key_and_what_it_is_taken_for_have_canonical_paths_of_their_own(awkward: AwkwardKey) -> None:
    texts = [awkward.key, *awkward.others]
    paths = {canonical_path(canonical_segments(f"/{quote(text)}".encode())) for text in texts}
    assert len(paths) == len(texts)
    assert all(path.isascii() and "?" not in path and "#" not in path for path in paths)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("/", "/", id="root"),
        pytest.param("//", "//", id="empty-segments"),
        pytest.param("/a/", "/a/", id="slash-at-the-end"),
        pytest.param("/a%2Fb", "/a%2Fb", id="encoded-slash"),
        pytest.param("/a%2fb", "/a%2Fb", id="encoded-slash-in-lower-case"),
        pytest.param("/a%252Fb", "/a%252Fb", id="escape-of-an-escape"),
        pytest.param("/%61", "/a", id="letter-that-needs-no-escape"),
        pytest.param("/%7e", "/~", id="tilde"),
        pytest.param("/a+b", "/a+b", id="plus-is-no-blank"),
        pytest.param("/%2B", "/+", id="encoded-plus"),
        pytest.param("/a b", "/a%20b", id="raw-blank"),
        pytest.param("/é", "/%C3%A9", id="raw-letter"),
        pytest.param('/"<>[]{}|^`', "/%22%3C%3E%5B%5D%7B%7D%7C%5E%60", id="what-no-url-holds"),
        pytest.param("/a%5Cb", "/a%5Cb", id="backslash"),
        pytest.param("/...", "/...", id="three-dots"),
    ],
)
def test_canonical_path_of_a_raw_path(raw: str, expected: str) -> None:
    assert canonical_path(canonical_segments(raw.encode())) == expected


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"*", id="asterisk"),
        pytest.param(b"a/b", id="relative"),
        pytest.param(b"/.", id="dot"),
        pytest.param(b"/a/..", id="dots"),
        pytest.param(b"/a/%2e%2E/b", id="encoded-dots"),
        pytest.param(b"/a%2F..%2Fb", id="dots-between-encoded-slashes"),
        pytest.param(b"/a%5C..%5Cb", id="dots-between-backslashes"),
        pytest.param(b"/a?b", id="question-mark"),
        pytest.param(b"/a#b", id="hash"),
        pytest.param(b"/%", id="cut-escape"),
        pytest.param(b"/%zz", id="escape-of-nothing"),
        pytest.param(b"/%00", id="nul"),
        pytest.param(b"/a%0d%0ab", id="line-break"),
        pytest.param(b"/%7f", id="delete"),
        pytest.param(b"/%ff", id="no-utf-8"),
        pytest.param(b"/%c0%af", id="overlong-slash"),
        pytest.param(b"/%ed%a0%80", id="surrogate"),
    ],
)
def test_path_that_could_be_read_in_two_ways_is_none(raw: bytes) -> None:
    with pytest.raises(BadPath):
        canonical_segments(raw)
