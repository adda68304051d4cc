"""Active content: no object that a browser would run keeps its rights, unless the operator trusts it."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.active_content import (
    SANDBOX,
    ActiveContent,
    is_active,
    safe_disposition,
    safe_fields,
)
from sluicegate.http.exchange import Overrides, Partial, Whole, answer
from sluicegate.http.fields import is_value
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span

from .texts import HOSTILE, LATIN_1

NOSNIFF = ("x-content-type-options", "nosniff")
POLICY = ("content-security-policy", SANDBOX)

ACTIVE = [
    pytest.param("text/html", id="html"),
    pytest.param("TEXT/Html", id="odd-case"),
    pytest.param("text/html; charset=utf-8", id="parameter"),
    pytest.param("text/html;charset=utf-7", id="parameter-without-a-blank"),
    pytest.param("text/html ;x", id="blank-before-the-semicolon"),
    pytest.param("  text/html", id="blanks-before"),
    pytest.param("text/html\t", id="tab-behind"),
    pytest.param("text/html(comment)", id="comment"),
    pytest.param("text/html x", id="words-behind"),
    pytest.param("text/html,", id="comma-behind"),
    pytest.param("text/plain, text/html", id="last-of-a-list"),
    pytest.param("text/html, text/plain", id="first-of-a-list"),
    pytest.param("image/png; a=b, text/html; c=d", id="list-behind-a-parameter"),
    pytest.param('text/plain; a="b, text/html', id="list-in-an-open-quote"),
    pytest.param("application/xhtml+xml", id="xhtml"),
    pytest.param("image/svg+xml", id="svg"),
    pytest.param("Image/SVG+XML; charset=utf-8", id="svg-in-odd-case"),
    pytest.param("text/xml", id="text-xml"),
    pytest.param("application/xml", id="xml"),
    pytest.param("text/xml-external-parsed-entity", id="xml-entity"),
    pytest.param("application/rss+xml", id="feed"),
    pytest.param("application/mathml+xml", id="mathml"),
    pytest.param("x/y+xml", id="any-xml"),
    pytest.param("text/xsl", id="xsl"),
    pytest.param("text/rdf", id="rdf"),
    pytest.param("multipart/x-mixed-replace; boundary=a", id="mixed-replace"),
    pytest.param("multipart/related", id="related"),
    pytest.param("message/rfc822", id="mail"),
    pytest.param("application/x-mimearchive", id="web-archive"),
    pytest.param("text/cache-manifest", id="manifest"),
]

PASSIVE = [
    pytest.param("image/jpeg", id="jpeg"),
    pytest.param("image/png; x=y", id="parameter"),
    pytest.param("video/mp4", id="video"),
    pytest.param("application/pdf", id="pdf"),
    pytest.param("application/octet-stream", id="bytes"),
    pytest.param("text/plain; charset=utf-8", id="text"),
    pytest.param("text/css", id="css"),
    pytest.param("application/json", id="json"),
    pytest.param("application/vnd.apple.mpegurl", id="playlist"),
    pytest.param("text/html5", id="longer-subtype"),
    pytest.param("xtext/html", id="longer-type"),
    pytest.param("application/xmlish", id="begins-like-xml"),
    pytest.param("image/svg", id="no-xml"),
    pytest.param("application/vnd.openxmlformats-officedocument.wordprocessingml.document", id="office"),
    pytest.param("html", id="no-type"),
    pytest.param("", id="empty"),
]


@pytest.mark.parametrize("media_type", ACTIVE)
def test_active_content_has_no_rights(media_type: str) -> None:
    assert is_active(media_type)
    assert safe_fields(media_type, "sandbox") == (NOSNIFF, POLICY)
    assert safe_disposition(media_type, None, "sandbox") is None


@pytest.mark.parametrize("media_type", ACTIVE)
def test_active_content_is_saved_and_has_no_rights_where_it_is_embedded(media_type: str) -> None:
    assert safe_disposition(media_type, None, "attachment") == "attachment"
    assert safe_fields(media_type, "attachment") == (NOSNIFF, POLICY)


@pytest.mark.parametrize("media_type", PASSIVE)
@pytest.mark.parametrize("policy", ["sandbox", "attachment", "trust"])
def test_other_content_is_shown_and_not_taken_for_anything_else(
    media_type: str, policy: ActiveContent
) -> None:
    assert not is_active(media_type)
    assert safe_fields(media_type, policy) == (NOSNIFF,)
    assert safe_disposition(media_type, "inline", policy) == "inline"


def test_trusted_content_runs_and_is_not_taken_for_anything_else() -> None:
    assert safe_fields("text/html", "trust") == (NOSNIFF,)
    assert safe_disposition("text/html", None, "trust") is None


def test_without_a_policy_nothing_is_said() -> None:
    assert safe_fields("text/html", None) == ()
    assert safe_disposition("text/html", "inline", None) == "inline"


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        pytest.param(None, "attachment", id="none"),
        pytest.param("", "attachment", id="empty"),
        pytest.param("inline", "attachment", id="inline"),
        pytest.param('inline; filename="a.svg"', 'attachment; filename="a.svg"', id="file-name-stays"),
        pytest.param('attachment; filename="a"', 'attachment; filename="a"', id="attachment"),
        pytest.param("ATTACHMENT ;x=y", "ATTACHMENT ;x=y", id="attachment-in-upper-case"),
        pytest.param("attachment, inline", "attachment", id="list"),
        pytest.param("attachments", "attachment", id="something-alike"),
        pytest.param('"attachment"', "attachment", id="quoted"),
        pytest.param("inline filename=a", "attachment", id="no-semicolon"),
        pytest.param(";filename=a", "attachment;filename=a", id="no-kind"),
    ],
)
def test_active_content_is_an_attachment_whatever_the_object_says(
    disposition: str | None, expected: str
) -> None:
    assert safe_disposition("image/svg+xml", disposition, "attachment") == expected


def test_sandbox_allows_no_script_no_form_and_no_request() -> None:
    directives = {name: sources for name, *sources in (part.split() for part in SANDBOX.split(";"))}
    assert directives["default-src"] == ["'none'"]
    # Any word here would give something back: allow-scripts, allow-same-origin, allow-forms.
    assert directives["sandbox"] == []
    assert not {"script-src", "connect-src", "frame-src", "object-src"}.intersection(directives)
    assert directives.pop("style-src") == ["'unsafe-inline'"]
    directives = {name: sources for name, sources in directives.items() if sources not in ([], ["'none'"])}
    assert set(map(tuple, directives.values())) == {("data:",)}


# What browsers take a value for, by what is known of them: the Fetch standard's list at commas, the last
# one that is a type; Chromium's end of a type at a blank, a semicolon or a bracket.
_RUN = re.compile(r"text/html|text/xml|application/xml|text/xsl|[\w.!#$-]+/[\w.!#$-]+\+xml", re.I | re.A)
_ENDS = re.compile(r"[ \t;(]")


def runs(value: str) -> bool:
    pieces = [piece.strip(" \t") for piece in value.split(",")]
    return any(_RUN.fullmatch(_ENDS.split(piece)[0]) for piece in pieces)


TYPES = st.lists(
    st.sampled_from(
        ["text/html", "image/svg+xml", "TEXT/XML", "a/b+xml", "text/plain", "image/png", "application/xml"]
    )
    | st.sampled_from([",", ";", " ", "\t", "(", ")", '"', "=", "charset=utf-8", "/", "x", "\\"])
    | LATIN_1.map(lambda text: text[:2]),
    max_size=8,
).map("".join)
VALUES = TYPES.filter(is_value)


@given(VALUES, st.none() | st.sampled_from(["inline", "attachment", "inline; filename=a"]))
def test_nothing_that_browsers_run_passes_with_its_rights(value: str, disposition: str | None) -> None:
    metadata = Metadata(size=10, content_type=value, content_disposition=disposition)
    for outcome in (Whole(metadata), Partial(metadata, Span(0, 5))):
        for policy in ("sandbox", "attachment"):
            fields = answer(outcome, Overrides(active_content=policy)).fields
            assert NOSNIFF in fields
            if runs(value):
                assert POLICY in fields
            if runs(value) and policy == "attachment":
                assert dict(fields)["content-disposition"].startswith("attachment")


def test_the_property_knows_what_browsers_run() -> None:
    assert runs("text/plain; a=b, text/HTML(x")
    assert not runs("text/plain; charset=utf-8")


def test_route_decides_by_the_type_that_is_sent_and_not_by_the_one_stored() -> None:
    stored = Metadata(size=1, content_type="image/png")
    fields = answer(Whole(stored), Overrides(media_type="text/html", active_content="sandbox")).fields
    assert POLICY in fields
    harmless = Overrides(media_type="image/png", active_content="sandbox")
    fields = answer(Whole(replace(stored, content_type="text/html")), harmless).fields
    assert POLICY not in fields
    assert NOSNIFF in fields


def test_object_without_a_type_is_not_guessed_at() -> None:
    fields = answer(Whole(Metadata(size=1)), Overrides(active_content="sandbox")).fields
    assert NOSNIFF in fields
    assert dict(fields)["content-type"] == "application/octet-stream"


def test_answer_says_nothing_of_active_content_unless_told() -> None:
    names = {name for name, _ in answer(Whole(Metadata(size=1, content_type="text/html"))).fields}
    assert not {"x-content-type-options", "content-security-policy"} & names


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["a", "a/", "/", "text/html+", "(", ","])
def test_hostile_type_costs_no_more_than_its_length(piece: str) -> None:
    is_active(piece * HOSTILE)
