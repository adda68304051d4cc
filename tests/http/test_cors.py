"""Cross-origin requests: who may read, what it is told, and what no policy may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.cors import (
    EXPOSED_FIELDS,
    REQUEST_FIELDS,
    CorsPolicy,
    answer_fields,
    is_origin,
    preflight_fields,
)

APP = "https://app.example.com"
OTHER = "https://other.example.com"
EVIL = "https://evil.example"

EVERYBODY = CorsPolicy(origins=frozenset({"*"}))
NAMED = CorsPolicy(origins=frozenset({APP, OTHER}), exposed_fields=("etag", "content-range"))
TRUSTED = CorsPolicy(
    origins=frozenset({APP}),
    credentials=True,
    max_age_seconds=60,
    request_fields=("range", "authorization"),
    exposed_fields=("etag",),
)


def test_answer_to_any_origin_may_be_read_by_all_and_kept_by_caches_for_all() -> None:
    expected = (
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", ", ".join(EXPOSED_FIELDS)),
    )
    assert answer_fields(EVERYBODY, EVIL) == expected
    assert answer_fields(EVERYBODY, None) == expected


@pytest.mark.parametrize("origin", [APP, OTHER])
def test_answer_to_a_named_origin_names_it_alone(origin: str) -> None:
    assert answer_fields(NAMED, origin) == (
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", "etag, content-range"),
        ("vary", "origin"),
    )


def test_credentials_are_allowed_where_the_policy_says_so() -> None:
    assert answer_fields(TRUSTED, APP) == (
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "etag"),
        ("vary", "origin"),
    )


STRANGERS = [
    pytest.param(None, id="no-origin"),
    pytest.param("", id="empty"),
    pytest.param("null", id="null"),
    pytest.param("*", id="asterisk"),
    pytest.param(EVIL, id="other"),
    pytest.param(f"{APP}.evil.example", id="longer"),
    pytest.param("https://example.com", id="shorter"),
    pytest.param("https://evilapp.example.com", id="other-beginning"),
    pytest.param("http://app.example.com", id="other-scheme"),
    pytest.param(f"{APP}:8443", id="other-port"),
    pytest.param(f"{APP}/", id="with-a-path"),
    pytest.param("https://appXexample.com", id="dot-is-a-dot"),
    pytest.param(f"{APP}, {EVIL}", id="two"),
    pytest.param(APP.upper(), id="upper-case"),
]


@pytest.mark.parametrize("policy", [NAMED, TRUSTED], ids=["named", "with-credentials"])
@pytest.mark.parametrize("origin", STRANGERS)
def test_stranger_is_allowed_nothing_and_caches_are_told_why(policy: CorsPolicy, origin: str | None) -> None:
    assert answer_fields(policy, origin) == (("vary", "origin"),)
    preflight = preflight_fields(policy, origin, ("GET", "HEAD"))
    assert [name for name, _ in preflight] == ["vary"]


@given(st.text(max_size=30) | st.sampled_from([APP, OTHER]).flatmap(lambda text: st.just(text + "x")))
def test_no_text_is_allowed_but_the_names_of_the_policy(origin: str) -> None:
    allowed = dict(answer_fields(NAMED, origin)).get("access-control-allow-origin")
    assert allowed == (origin if origin in (APP, OTHER) else None)


def test_preflight_of_a_trusted_origin_says_everything() -> None:
    assert preflight_fields(TRUSTED, APP, ("GET", "HEAD")) == (
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, HEAD"),
        ("access-control-allow-headers", "range, authorization"),
        ("access-control-max-age", "60"),
        ("vary", "origin, access-control-request-method, access-control-request-headers"),
    )


def test_preflight_of_anybody_allows_no_credentials() -> None:
    fields = dict(preflight_fields(EVERYBODY, EVIL, ("GET",)))
    assert fields["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in fields


def test_players_may_ask_for_ranges_and_read_where_they_are() -> None:
    # A list of ranges, and If-Range, are no "CORS-safelisted request-header" of the Fetch standard; of
    # the answer's fields, none of these is safelisted but Content-Length.
    assert {"range", "if-range", "if-none-match"} <= set(REQUEST_FIELDS)
    assert {"accept-ranges", "content-range", "content-length", "etag"} <= set(EXPOSED_FIELDS)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "http://localhost:3000",
        "http://127.0.0.1",
        "https://[2001:db8::1]:8443",
        "chrome-extension://abcdefghijklmnop",
        "https://xn--bcher-kva.example",
    ],
)
def test_origin_as_browsers_send_it(origin: str) -> None:
    assert is_origin(origin)
    assert answer_fields(CorsPolicy(origins=frozenset({origin})), origin)[0] == (
        "access-control-allow-origin",
        origin,
    )


NO_ORIGINS = [
    pytest.param("null", id="null-which-any-sandboxed-page-has"),
    pytest.param("", id="empty"),
    pytest.param("app.example.com", id="no-scheme"),
    pytest.param("https://", id="no-host"),
    pytest.param("https://app.example.com/", id="slash"),
    pytest.param("https://app.example.com/a", id="path"),
    pytest.param("https://user@app.example.com", id="user"),
    pytest.param("https://App.example.com", id="upper-case"),
    pytest.param("https://*.example.com", id="wildcard"),
    pytest.param("https://app.example.com\n", id="line-feed"),
    pytest.param("https://app.example.com\r\nset-cookie: a=b", id="other-field"),
    pytest.param("https://bücher.example", id="not-ascii"),
    pytest.param("https://a:", id="port-without-digits"),
    pytest.param("https://a, https://b", id="two"),
]


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_policy_is_not_made_of_what_no_browser_sends(origin: str) -> None:
    assert not is_origin(origin)
    with pytest.raises(ValueError, match="origin"):
        CorsPolicy(origins=frozenset({APP, origin}))


def test_credentials_for_everybody_are_no_policy() -> None:
    with pytest.raises(ValueError, match="every site"):
        CorsPolicy(origins=frozenset({"*", APP}), credentials=True)


def test_time_before_now_is_no_policy() -> None:
    with pytest.raises(ValueError, match="max_age_seconds"):
        CorsPolicy(origins=frozenset({APP}), max_age_seconds=-1)


def test_name_that_is_no_field_is_no_policy() -> None:
    with pytest.raises(ValueError, match="token"):
        CorsPolicy(origins=frozenset({APP}), request_fields=("range\r\nx",))
    with pytest.raises(ValueError, match="token"):
        CorsPolicy(origins=frozenset({APP}), exposed_fields=("etag, x",))
