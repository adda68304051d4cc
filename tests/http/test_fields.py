"""Fields: safe values, what ends at this hop, and Content-Disposition."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import BadFieldValue
from sluicegate.http.fields import (
    check_fields,
    check_value,
    content_disposition,
    end_to_end,
    filename_of,
    is_valid_host,
    safe_value,
)
from sluicegate.http.media_types import media_type_of


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a\r\nset-cookie: b", id="line-break"),
        pytest.param("a\nb", id="line-feed"),
        pytest.param("a\rb", id="carriage-return"),
        pytest.param("a\0b", id="nul"),
        pytest.param("日本", id="outside-latin-1"),
    ],
)
def test_value_that_could_split_a_header_is_refused(value: str) -> None:
    with pytest.raises(BadFieldValue):
        check_value("x-name", value)
    assert safe_value(value) is None


def test_name_that_is_no_token_is_refused() -> None:
    with pytest.raises(BadFieldValue):
        check_fields({"bad name": "value"})


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
        pytest.param(None, "attachment", id="no-name"),
    ],
)
def test_disposition_of_a_file_name(filename: str | None, expected: str) -> None:
    assert content_disposition(filename) == expected


def test_disposition_may_be_inline_and_nothing_else() -> None:
    assert content_disposition("a", "inline") == 'inline; filename="a"'
    with pytest.raises(BadFieldValue, match="inline"):
        content_disposition("a", "form-data")  # type: ignore[arg-type]


def test_file_name_that_splits_the_header_is_refused() -> None:
    with pytest.raises(BadFieldValue, match="control characters"):
        content_disposition("a\r\nset-cookie: b")


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


@given(st.text())
def test_any_key_gives_a_disposition_that_is_safe_and_exact(key: str) -> None:
    name = filename_of(key)
    value = content_disposition(name)
    assert check_value("content-disposition", value) == value
    assert value.isascii()
    if name is not None and "filename*=" in value:
        assert unquote_to_bytes(value.rpartition("''")[2]).decode(errors="replace") == name.encode(
            errors="replace"
        ).decode(errors="replace")


@given(
    st.lists(st.tuples(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255))))
)
def test_no_fields_make_the_hop_raise(fields: list[tuple[str, str]]) -> None:
    end_to_end(fields)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("a/b.jpg", "image/jpeg", id="common"),
        pytest.param("a/b.JPG", "image/jpeg", id="capitals"),
        pytest.param("b.webp", "image/webp", id="newer"),
        pytest.param("b.tar.gz", "application/gzip", id="two-extensions"),
        pytest.param("a.jpg/b", "application/octet-stream", id="extension-of-a-folder"),
        pytest.param("b", "application/octet-stream", id="none"),
        pytest.param("b.nothing-known", "application/octet-stream", id="unknown"),
    ],
)
def test_media_type_of_a_key(key: str, expected: str) -> None:
    assert media_type_of(key) == expected
