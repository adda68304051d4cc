"""The media type that a key suggests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.fields import check_value
from sluicegate.http.media_types import media_type_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("a/b.jpg", "image/jpeg", id="common"),
        pytest.param("a/b.JPG", "image/jpeg", id="capitals"),
        pytest.param("b.webp", "image/webp", id="newer"),
        pytest.param("b.js", "text/javascript", id="changed-between-versions-of-python"),
        pytest.param(
            "b.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            id="office",
        ),
        pytest.param("b.tar.gz", "application/gzip", id="two-extensions"),
        pytest.param("日本 (1).png", "image/png", id="letters-of-any-script"),
        pytest.param("a.jpg/b", "application/octet-stream", id="extension-of-a-folder"),
        pytest.param("b", "application/octet-stream", id="none"),
        pytest.param("b.", "application/octet-stream", id="dot-at-the-end"),
        pytest.param("b.nothing-known", "application/octet-stream", id="unknown"),
        pytest.param("", "application/octet-stream", id="empty"),
    ],
)
def test_media_type_of_a_key(key: str, expected: str) -> None:
    assert media_type_of(key) == expected


@given(st.text())
def test_any_key_has_a_type_that_can_be_sent(key: str) -> None:
    kind = media_type_of(key)
    assert check_value("content-type", kind) == kind
