"""Fields: safe values, what ends at this hop, and Content-Disposition."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import BadFieldValue
from sluicegate.http.fields import (
    Disposition,
    check_fields,
    check_value,
    content_disposition,
    end_to_end,
    filename_of,
    is_valid_host,
    number,
    safe_value,
)

from .texts import HOSTILE, LATIN_1


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a\r\nset-cookie: b", id="line-break"),
        pytest.param("a\nb", id="line-feed"),
        pytest.param("a\rb", id="carriage-return"),
        pytest.param("a\0b", id="nul"),
        pytest.param("a\x7fb", id="delete"),
        pytest.param("a\n", id="line-feed-at-the-end"),
        pytest.param("日本", id="outside-latin-1"),
    ],
)
def test_value_that_could_split_a_header_is_refused(value: str) -> None:
    with pytest.raises(BadFieldValue):
        check_value("x-name", value)
    assert safe_value(value) is None


@pytest.mark.parametrize("name", ["", "bad name", "name:", "näme", "name\n", "a\r\nb"])
def test_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(BadFieldValue):
        check_fields({name: "value"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("text/plain", "text/plain", id="plain"),
        pytest.param("\t a \t", "a", id="white-space-around"),
        pytest.param("caf\xe9", "caf\xe9", id="latin-1"),
        pytest.param(" ", None, id="white-space-alone"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_value_of_an_origin_is_trimmed(value: str | None, expected: str | None) -> None:
    assert safe_value(value) == expected


def test_fields_come_back_in_lower_case_and_trimmed() -> None:
    assert check_fields({"X-Name": " value\t"}) == (("x-name", "value"),)


def test_fields_of_this_hop_stop_here() -> None:
    fields = [
        ("Connection", "close, X-Private"),
        ("X-Private", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Keep-Alive", "5"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Proxy-Authorization", "secret"),
        ("ETag", '"a"'),
        ("Vary", "Accept"),
        ("vary", "Origin"),
    ]
    assert end_to_end(fields) == {"etag": '"a"', "vary": "Accept, Origin"}


def test_every_connection_field_counts() -> None:
    fields = [("Connection", "X-One"), ("X-One", "1"), ("X-Two", "2"), ("connection", " x-two ,, ")]
    assert end_to_end(fields) == {}


@pytest.mark.timeout(10)
def test_field_that_is_repeated_without_end_costs_no_more_than_its_length() -> None:
    fields = [("connection", "a")] * HOSTILE + [("x", "")] * HOSTILE
    assert end_to_end(fields) == {"x": ", " * (HOSTILE - 1)}


@pytest.mark.parametrize(
    ("values", "version", "expected"),
    [
        pytest.param(["example.org"], "1.1", True, id="name"),
        pytest.param(["example.org:8080"], "1.1", True, id="name-and-port"),
        pytest.param(["[::1]:80"], "1.1", True, id="ipv6"),
        pytest.param([], "1.1", False, id="missing"),
        pytest.param([], "1.0", True, id="missing-in-1.0"),
        pytest.param(["a", "a"], "1.1", False, id="twice"),
        pytest.param(["a", "b"], "1.0", False, id="twice-in-1.0"),
        pytest.param([""], "1.1", False, id="empty"),
        pytest.param(["a b"], "1.1", False, id="space"),
        pytest.param(["a/b"], "1.1", False, id="slash"),
        pytest.param(["user@a"], "1.1", False, id="user"),
        pytest.param(["a:port"], "1.1", False, id="port-in-letters"),
    ],
)
def test_host_is_exactly_one_and_valid(values: list[str], version: str, expected: bool) -> None:
    assert is_valid_host(values, version) is expected


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        pytest.param("a.jpg", 'attachment; filename="a.jpg"', id="ascii"),
        pytest.param("a b.jpg", 'attachment; filename="a b.jpg"', id="space"),
        pytest.param(
            "日本語.jpg",
            "attachment; filename=\"___.jpg\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%E8%AA%9E.jpg",
            id="japanese",
        ),
        pytest.param('a"b', "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b", id="quote"),
        pytest.param("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt", id="percent"),
        pytest.param("../a", "attachment; filename=\".._a\"; filename*=UTF-8''..%2Fa", id="separator"),
        pytest.param("a\\b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%5Cb", id="backslash"),
        pytest.param("a;b=c, d.txt", 'attachment; filename="a;b=c, d.txt"', id="separators-of-fields"),
        pytest.param(
            "\U0001f600.gif", "attachment; filename=\"_.gif\"; filename*=UTF-8''%F0%9F%98%80.gif", id="emoji"
        ),
        pytest.param(
            "caf\xe9.txt", "attachment; filename=\"caf_.txt\"; filename*=UTF-8''caf%C3%A9.txt", id="latin-1"
        ),
        pytest.param("", "attachment", id="empty-name"),
        pytest.param(None, "attachment", id="no-name"),
    ],
)
def test_disposition_of_a_file_name(filename: str | None, expected: str) -> None:
    assert content_disposition(filename) == expected


def test_disposition_may_be_inline_and_nothing_else() -> None:
    assert content_disposition("a", "inline") == 'inline; filename="a"'
    with pytest.raises(BadFieldValue, match="inline"):
        content_disposition("a", "form-data")  # type: ignore[arg-type]


@pytest.mark.parametrize("filename", ["a\r\nset-cookie: b", "a\0", "a\x7f", "a\x85b"])
def test_file_name_that_splits_the_header_is_refused(filename: str) -> None:
    with pytest.raises(BadFieldValue, match="control characters"):
        content_disposition(filename)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("a/b/c.jpg", "c.jpg", id="last-segment"),
        pytest.param("c.jpg", "c.jpg", id="only-segment"),
        pytest.param("a/b\r\nc", "b__c", id="control-characters"),
        pytest.param("a/", None, id="folder"),
    ],
)
def test_file_name_of_a_key(key: str, expected: str | None) -> None:
    assert filename_of(key) == expected


# Lone surrogates too: they come from file names that are not UTF-8.
NAMES = st.text(st.characters(exclude_categories=["Cc"])) | st.text(st.sampled_from("a%'\"\\/;*= é日"))


@given(NAMES, st.sampled_from(["inline", "attachment"]))
def test_any_file_name_is_told_exactly_and_safely(name: str, disposition: Disposition) -> None:
    value = content_disposition(name, disposition)
    assert check_value("content-disposition", value) == value
    assert value.isascii()
    assert file_name_in(value) == name.encode(errors="replace").decode()


def file_name_in(value: str) -> str:
    """What a client reads that knows RFC 6266 and RFC 8187, and nothing beyond."""
    _, plain, rest = value.partition('; filename="')
    fallback, _, extended = rest.partition('"')
    assert "\\" not in fallback
    if not extended:
        return fallback if plain else ""
    prefix, _, encoded = extended.partition("''")
    assert prefix == "; filename*=UTF-8"
    assert re.fullmatch(r"(?:%[0-9A-F]{2}|[A-Za-z0-9!#$&+.^_`|~-])*", encoded)
    return unquote_to_bytes(encoded).decode()


@given(st.text())
def test_any_key_suggests_a_file_name_that_can_be_sent(key: str) -> None:
    content_disposition(filename_of(key))


@given(st.lists(st.tuples(st.sampled_from(["connection", "Vary", "te"]) | LATIN_1, LATIN_1)))
def test_no_fields_make_the_hop_raise(fields: list[tuple[str, str]]) -> None:
    passed = end_to_end(fields)
    assert not {"connection", "te"} & set(passed)


@given(st.lists(LATIN_1, max_size=2), st.sampled_from(["1.0", "1.1", "2"]))
def test_no_host_makes_the_check_raise(values: list[str], http_version: str) -> None:
    assert is_valid_host(values, http_version) in (True, False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("0", 0, id="nothing"),
        pytest.param("42", 42, id="plain"),
        pytest.param("007", 7, id="leading-zeros"),
        pytest.param(None, None, id="no-field"),
        pytest.param("", None, id="empty"),
        pytest.param("-1", None, id="negative"),
        pytest.param("+1", None, id="signed"),
        pytest.param("1_000", None, id="underscore"),
        pytest.param("٣", None, id="digit-of-another-script"),
        pytest.param("1, 1", None, id="twice"),
        pytest.param("9" * 20, None, id="beyond-any-object"),
    ],
)
def test_number_of_a_field_is_digits_and_nothing_else(value: str | None, expected: int | None) -> None:
    assert number(value) == expected
