"""Routing: the canonical path, templates, which route a path belongs to, and what a value can reach."""

from itertools import permutations
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.gateway.routes import (
    BadParameter,
    BadPath,
    Match,
    NoMatch,
    ObjectTemplate,
    Router,
    RouteTemplate,
    TemplateError,
    UpstreamTemplate,
    canonical_segments,
)
from sluicegate.http.paths import canonical_path

UUID_TEXT = "123e4567-e89b-12d3-a456-426614174000"


INT_ALLOWED = "an integer of at most 19 digits"
UUID_ALLOWED = f"a UUID such as {UUID_TEXT}"


def router(*templates: str) -> Router:
    return Router(RouteTemplate.parse(template) for template in templates)


def has_dots(text: str) -> bool:
    return any(piece in {".", ".."} for piece in text.replace("\\", "/").split("/"))


# What a key can be: any text without control characters and dot segments.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"])
KEYS = st.text(st.one_of(st.sampled_from("/.%+ \\?#é"), CHARACTERS), min_size=1).filter(
    lambda key: not has_dots(key)
)
SEGMENTS = KEYS.filter(lambda key: "/" not in key)


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        pytest.param(b"/", ("",), id="root"),
        pytest.param(b"/a/b", ("a", "b"), id="plain"),
        pytest.param(b"/a//b/", ("a", "", "b", ""), id="empty-segments-stay"),
        pytest.param(b"/a%2Fb", ("a/b",), id="encoded-slash-is-no-separator"),
        pytest.param(b"/%252F", ("%2F",), id="decoded-once"),
        pytest.param(b"/a+b", ("a+b",), id="plus-is-a-plus"),
        pytest.param(b"/%e6%97%a5", ("日",), id="utf-8"),
        pytest.param("/日".encode(), ("日",), id="utf-8-unencoded"),
        pytest.param(b"/%F0%9F%8D%8B", ("🍋",), id="emoji"),
        pytest.param(b"/a%5Cb", ("a\\b",), id="backslash"),
        pytest.param(b"/%3F%23", ("?#",), id="encoded-question-mark-and-hash"),
        pytest.param(b"/.../..a/a..", ("...", "..a", "a.."), id="dots-that-are-no-dot-segment"),
    ],
)
def test_path_is_split_then_decoded_once(raw: bytes, segments: tuple[str, ...]) -> None:
    assert canonical_segments(raw) == segments


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "does not start", id="empty"),
        pytest.param(b"a", "does not start", id="relative"),
        pytest.param(b"*", "does not start", id="asterisk-form"),
        pytest.param(b"/%", "malformed percent escape", id="lone-percent"),
        pytest.param(b"/%4", "malformed percent escape", id="cut-escape"),
        pytest.param(b"/%zz", "malformed percent escape", id="escape-of-letters"),
        pytest.param(b"/%+1", "malformed percent escape", id="escape-with-sign"),
        pytest.param(b"/%ff", "not valid UTF-8", id="invalid-utf-8"),
        pytest.param(b"/\xff", "not valid UTF-8", id="raw-invalid-utf-8"),
        pytest.param(b"/%c0%ae", "not valid UTF-8", id="overlong-utf-8"),
        pytest.param(b"/%ed%a0%80", "not valid UTF-8", id="surrogate"),
        pytest.param(b"/%00", "control character", id="nul"),
        pytest.param(b"/a%0d%0ab", "control character", id="line-break"),
        pytest.param(b"/%7F", "control character", id="delete"),
        pytest.param(b"/a?b", "percent-encoded", id="raw-query"),
        pytest.param(b"/a#b", "percent-encoded", id="raw-fragment"),
        pytest.param(b"/.", "segment", id="dot"),
        pytest.param(b"/a/../b", "segment", id="dot-dot"),
        pytest.param(b"/%2e%2E/b", "segment", id="encoded-dot-dot"),
        pytest.param(b"/a%2F..%2Fb", "segment", id="dot-dot-between-encoded-slashes"),
        pytest.param(b"/a%2F.", "segment", id="dot-after-encoded-slash"),
        pytest.param(b"/..\\a", "segment", id="dot-dot-backslash"),
        pytest.param(b"/a%5C..%5Cb", "segment", id="dot-dot-between-encoded-backslashes"),
    ],
)
def test_path_that_could_mean_two_things_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(BadPath, match=reason):
        canonical_segments(raw)


@given(st.binary())
def test_any_bytes_are_segments_or_a_bad_path(tail: bytes) -> None:
    for raw in (tail, b"/" + tail):
        try:
            segments = canonical_segments(raw)
        except BadPath:
            continue
        assert "/".join(segments).encode() == b"/".join(
            unquote(part.decode()).encode() for part in raw[1:].split(b"/")
        )
        assert not any(has_dots(segment) for segment in segments)


@given(st.lists(KEYS, min_size=1))
def test_segments_survive_their_percent_encoding(segments: list[str]) -> None:
    raw = "".join("/" + quote(segment, safe="") for segment in segments)
    assert canonical_segments(raw.encode()) == tuple(segments)


ROUTES = (
    "/",
    "/tasks/{task_id:int}/image",
    "/tasks/{task_id:int}/bytes/{size:int}",
    "/tasks/new/image",
    "/tasks/{name}/image",
    "/by-id/{id:uuid}",
    "/by-id/{id:int}",
    "/files/{key:path}",
    "/files/{folder}/index",
    "/files/",
    "/größe/{x}",
)


@pytest.mark.parametrize(
    ("path", "route", "params"),
    [
        pytest.param("/", "/", {}, id="root"),
        pytest.param("/tasks/7/image", "/tasks/{task_id:int}/image", {"task_id": "7"}, id="int"),
        pytest.param("/tasks/007/image", "/tasks/{task_id:int}/image", {"task_id": "7"}, id="int-canonical"),
        pytest.param("/tasks/-7/image", "/tasks/{task_id:int}/image", {"task_id": "-7"}, id="int-negative"),
        pytest.param("/tasks/-0/image", "/tasks/{task_id:int}/image", {"task_id": "0"}, id="int-minus-zero"),
        pytest.param("/tasks/%37/image", "/tasks/{task_id:int}/image", {"task_id": "7"}, id="int-encoded"),
        pytest.param(
            f"/tasks/{'9' * 19}/image",
            "/tasks/{task_id:int}/image",
            {"task_id": "9" * 19},
            id="int-of-19-digits",
        ),
        pytest.param(
            f"/tasks/{'9' * 20}/image", "/tasks/{name}/image", {"name": "9" * 20}, id="20-digits-are-text"
        ),
        pytest.param("/tasks/٣/image", "/tasks/{name}/image", {"name": "٣"}, id="other-digits-are-text"),
        pytest.param("/tasks/new/image", "/tasks/new/image", {}, id="literal-before-text"),
        pytest.param("/tasks/n%65w/image", "/tasks/new/image", {}, id="literal-encoded"),
        pytest.param("/tasks/old/image", "/tasks/{name}/image", {"name": "old"}, id="text"),
        pytest.param(
            "/tasks/7/bytes/9",
            "/tasks/{task_id:int}/bytes/{size:int}",
            {"task_id": "7", "size": "9"},
            id="two-parameters",
        ),
        pytest.param(
            f"/by-id/{UUID_TEXT.upper()}", "/by-id/{id:uuid}", {"id": UUID_TEXT}, id="uuid-in-lower-case"
        ),
        pytest.param("/by-id/12", "/by-id/{id:int}", {"id": "12"}, id="int-beside-uuid"),
        pytest.param("/files/a/index", "/files/{folder}/index", {"folder": "a"}, id="text-before-rest"),
        pytest.param("/files/a/b", "/files/{key:path}", {"key": "a/b"}, id="rest"),
        pytest.param("/files/a%2Fb", "/files/{key:path}", {"key": "a/b"}, id="rest-with-encoded-slash"),
        pytest.param("/files//", "/files/{key:path}", {"key": "/"}, id="rest-of-one-slash"),
        pytest.param("/files//a", "/files/{key:path}", {"key": "/a"}, id="rest-with-leading-slash"),
        pytest.param("/files/", "/files/", {}, id="empty-rest-is-no-rest"),
        pytest.param("/gr%C3%B6%C3%9Fe/x", "/größe/{x}", {"x": "x"}, id="literal-beyond-ascii"),
    ],
)
def test_most_specific_route_matches(path: str, route: str, params: dict[str, str]) -> None:
    match = router(*ROUTES).match(path.encode())
    assert isinstance(match, Match)
    assert (match.index, match.params) == (ROUTES.index(route), params)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/nothing", id="unknown"),
        pytest.param("/tasks/7/image/", id="trailing-slash"),
        pytest.param("/tasks/7", id="too-short"),
        pytest.param("/tasks//image", id="empty-segment"),
        pytest.param("/tasks/a%2Fb/image", id="encoded-slash-in-one-segment"),
        pytest.param("/tasks%2Fnew/image", id="encoded-slash-for-a-separator"),
        pytest.param("/TASKS/new/image", id="other-case"),
        pytest.param("//tasks/new/image", id="doubled-slash"),
    ],
)
def test_path_of_another_shape_matches_nothing(path: str) -> None:
    assert router(*ROUTES).match(path.encode()) == NoMatch()


@pytest.mark.parametrize(
    ("templates", "path", "name", "found"),
    [
        pytest.param(["/tasks/{id:int}/image"], "/tasks/abc/image", "id", "abc", id="text-for-int"),
        pytest.param(["/tasks/{id:int}"], "/tasks/1.5", "id", "1.5", id="fraction"),
        pytest.param(["/tasks/{id:int}"], "/tasks/+1", "id", "+1", id="plus-sign"),
        pytest.param(["/tasks/{id:int}"], f"/tasks/{'1' * 20}", "id", "1" * 20, id="too-many-digits"),
        pytest.param(["/tasks/{id:int}"], "/tasks/1%20", "id", "1 ", id="trailing-space"),
        pytest.param(["/{a:int}/{b:int}"], "/1/x", "b", "x", id="the-second"),
        pytest.param(["/{a:int}/{b:int}"], "/x/y", "a", "x", id="the-first-of-two"),
        pytest.param(["/{a:uuid}"], f"/{UUID_TEXT[:-1]}", "a", UUID_TEXT[:-1], id="short-uuid"),
        pytest.param(
            ["/{a:uuid}"], f"/{UUID_TEXT.replace('-', '')}", "a", UUID_TEXT.replace("-", ""), id="bare-uuid"
        ),
        pytest.param(["/{a:int}/{key:path}"], "/x/a//b", "a", "x", id="before-a-rest"),
        pytest.param(["/{a:int}/x", "/{b}/y"], "/z/x", "a", "z", id="beside-another-route"),
    ],
)
def test_value_of_another_type_is_a_bad_parameter(
    templates: list[str], path: str, name: str, found: str
) -> None:
    kind = UUID_ALLOWED if ":uuid" in templates[0] else INT_ALLOWED
    assert router(*templates).match(path.encode()) == BadParameter(name, found, kind)


def test_route_that_fits_wins_over_a_bad_parameter_of_another() -> None:
    assert router("/a/{x:int}/{y:int}", "/{key:path}").match(b"/a/1/b") == Match(
        1, {"key": "a/1/b"}, ("a", "1", "b")
    )


def test_order_of_routes_has_no_part_in_the_match() -> None:
    paths = {
        b"/7": "/7",
        b"/8": "/{i:int}",
        b"/x": "/{s}",
        b"/x/y": "/{k:path}",
        b"/" + UUID_TEXT.encode(): "/{u:uuid}",
    }
    for order in permutations(paths.values()):
        found = {path: router(*order).match(path) for path in paths}
        assert {
            path: order[match.index] for path, match in found.items() if isinstance(match, Match)
        } == paths


def test_search_goes_back_where_the_more_specific_leads_nowhere() -> None:
    routes = router("/7/a", "/{i:int}/b", "/{s}/c", "/{k:path}")
    found = [routes.match(path) for path in (b"/7/a", b"/7/b", b"/7/c", b"/7/d")]
    assert found == [
        Match(0, {}, ("7", "a")),
        Match(1, {"i": "7"}, ("7", "b")),
        Match(2, {"s": "7"}, ("7", "c")),
        Match(3, {"k": "7/d"}, ("7", "d")),
    ]


def test_path_of_very_many_segments_is_matched() -> None:
    path = b"/a" * 100_000
    assert router("/a/{x}/{y}/b", "/a/{key:path}").match(path) == Match(
        1, {"key": path.decode()[3:]}, ("a",) * 100_000
    )
    assert router("/a/{x}/{y}/b").match(path) == NoMatch()


@given(st.binary())
def test_any_bytes_get_an_answer_from_the_router(tail: bytes) -> None:
    try:
        answer = router(*ROUTES).match(b"/files/" + tail)
    except BadPath:
        return
    assert isinstance(answer, Match)


def test_two_routes_of_one_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'/a/\{x\}' and '/a/\{y:str\}' match the same paths"):
        router("/a/{x}", "/a/{y:str}")


def test_slash_of_another_spelling_never_leads_around_a_route() -> None:
    router = Router([RouteTemplate.parse(text) for text in ROUTES])
    with pytest.raises(BadPath, match="another route"):
        router.match(b"/files/a%2Findex")


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        pytest.param("/", ("",), id="root"),
        pytest.param("/files/", ("files", ""), id="slash-at-the-end"),
        pytest.param("/tasks/new/image", ("tasks", "new", "image"), id="literals"),
        pytest.param("/tasks/a%20b/image", ("tasks", "a b", "image"), id="text"),
        pytest.param("/tasks/007/image", ("tasks", "7", "image"), id="number"),
        pytest.param(f"/by-id/{UUID_TEXT.upper()}", ("by-id", UUID_TEXT), id="uuid"),
        pytest.param("/files/a%2Fb//c/", ("files", "a", "b", "", "c", ""), id="rest"),
        pytest.param("/files/%252F", ("files", "%2F"), id="rest-with-an-escape"),
    ],
)
def test_match_spells_the_path_by_its_route_and_its_values(path: str, plain: tuple[str, ...]) -> None:
    match = router(*ROUTES).match(path.encode())
    assert isinstance(match, Match)
    assert match.segments == plain


@given(st.lists(st.sampled_from(["/", "%2F", "0", "7", "-", "%37", "a", "index", "%25"]), max_size=8))
def test_path_that_is_judged_leads_to_the_same_route_and_values(pieces: list[str]) -> None:
    routes = router("/{id:int}/{key:path}", "/{id:int}", "/{name}/index", "/{key:path}")
    try:
        match = routes.match(f"/{''.join(pieces)}".encode())
    except BadPath:
        return
    if isinstance(match, Match):
        assert routes.match(canonical_path(match.segments).encode()) == match


@pytest.mark.parametrize(
    ("guarded", "open_", "path"),
    [
        pytest.param("/t/7/image", "/t/{id:int}/image", "/t/007/image", id="number"),
        pytest.param("/t/0/image", "/t/{id:int}/image", "/t/-0/image", id="minus-zero"),
        pytest.param(f"/t/{UUID_TEXT}", "/t/{id:uuid}", f"/t/{UUID_TEXT.upper()}", id="uuid"),
        pytest.param("/t/7/{x}", "/t/{id:int}/{key:path}", "/t/07/x", id="number-before-a-rest"),
    ],
)
def test_value_of_another_spelling_never_leads_around_a_route(guarded: str, open_: str, path: str) -> None:
    with pytest.raises(BadPath, match="another route"):
        router(guarded, open_).match(path.encode())


def test_two_slashes_never_lead_around_a_route_where_they_may_be_one() -> None:
    templates = [RouteTemplate.parse(text) for text in ("/p/admin/{x}", "/p/{rest:path}")]
    assert isinstance(Router(templates).match(b"/p//admin/x"), Match)
    with pytest.raises(BadPath, match="another route"):
        Router(templates, merging=[1]).match(b"/p//admin/x")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a", "a", id="relative"),
        pytest.param("", "", id="empty"),
        pytest.param("/a//b", "/a//b", id="empty-segment"),
        pytest.param("/a/../b", "..", id="dot-dot"),
        pytest.param("/./b", ".", id="dot"),
        pytest.param("/a%20b", "a%20b", id="percent-encoded"),
        pytest.param("/a?b", "a?b", id="query"),
        pytest.param("/a\tb", "a\tb", id="control-character"),
        pytest.param("/{a", "{a", id="unclosed"),
        pytest.param("/a}", "a}", id="unopened"),
        pytest.param("/{a}.jpg", "{a}.jpg", id="part-of-a-segment"),
        pytest.param("/{a}{b}", "{a}{b}", id="two-in-a-segment"),
        pytest.param("/{}", "{}", id="no-name"),
        pytest.param("/{a-b}", "{a-b}", id="bad-name"),
        pytest.param("/{a:float}", "{a:float}", id="unknown-type"),
        pytest.param("/{a:}", "{a:}", id="empty-type"),
        pytest.param("/{a}/{a:int}", "{a}", id="twice"),
        pytest.param("/{a:path}/b", "{a:path}", id="rest-not-last"),
    ],
)
def test_malformed_route_template_is_refused(text: str, found: str) -> None:
    with pytest.raises(TemplateError) as caught:
        RouteTemplate.parse(text)
    assert caught.value.found == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("key", "key", id="no-store"),
        pytest.param("images:", "images:", id="no-key"),
        pytest.param("{store}s:key", "{store}s", id="placeholder-and-more-for-the-store"),
        pytest.param("my store:key", "my store", id="bad-store-name"),
        pytest.param(":key", "", id="empty-store"),
        pytest.param("s:{a", "{a", id="unclosed"),
        pytest.param("s:a}b", "a}b", id="unopened"),
        pytest.param("s:{a:int}", "{a:int}", id="type-in-the-target"),
        pytest.param("s:a/../b", "a/../b", id="dot-dot"),
        pytest.param("s:./b", "./b", id="dot"),
        pytest.param("s:a\x00", "a\x00", id="nul"),
    ],
)
def test_malformed_object_template_is_refused(text: str, found: str) -> None:
    with pytest.raises(TemplateError) as caught:
        ObjectTemplate.parse(text)
    assert caught.value.found == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("host/path", "host/path", id="no-scheme"),
        pytest.param("ftp://host/", "ftp://host/", id="other-scheme"),
        pytest.param("{scheme}://host/", "{scheme}://host/", id="placeholder-for-the-scheme"),
        pytest.param("http://{host}/", "{host}", id="placeholder-for-the-host"),
        pytest.param("http://host:{port}/", "host:{port}", id="placeholder-for-the-port"),
        pytest.param("http://a.{b}/", "a.{b}", id="placeholder-in-the-host"),
        pytest.param("http://h/?a={q}", "{q}", id="placeholder-in-the-query"),
        pytest.param("http://h/?a={", "a brace in the query", id="brace-in-the-query"),
        pytest.param("http://h/a#{q}", "#{q}", id="fragment"),
        pytest.param("http:///a", "", id="no-host"),
        pytest.param("http://h:0/", "h:0", id="port-zero"),
        pytest.param("http://h:65536/", "h:65536", id="port-too-large"),
        pytest.param("http://bücher/", "bücher", id="host-beyond-ascii"),
        pytest.param("http://[::g]/", "[::g]", id="bad-ipv6"),
        pytest.param("http://h/a b", "http://h/a b", id="space"),
        pytest.param("http://h/%zz", "%zz", id="malformed-escape"),
        pytest.param("http://h/%2e%2e/a", "%2e%2e/a", id="encoded-dot-dot"),
        pytest.param("http://u:secret@h/", "***@h", id="user-and-password-are-masked"),
        pytest.param("ftp://u:secret@h/?k=secret", "ftp://***@h/?***", id="query-is-masked"),
    ],
)
def test_malformed_upstream_template_is_refused(text: str, found: str) -> None:
    with pytest.raises(TemplateError) as caught:
        UpstreamTemplate.parse(text)
    assert caught.value.found == found
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "params", "base_url", "rendered"),
    [
        pytest.param("http://h/b/{n}", {"n": "5"}, "http://h", "b/5", id="plain"),
        pytest.param("http://h", {}, "http://h", "", id="no-path"),
        pytest.param("HTTPS://H:8443/", {}, "https://h:8443", "", id="port"),
        pytest.param("http://[::1]:80/a", {}, "http://[::1]:80", "a", id="ipv6"),
        pytest.param("http://h/{a}/b?x=1&y=2", {"a": "1"}, "http://h", "1/b?x=1&y=2", id="query"),
        pytest.param("http://h/{a}", {"a": "?x=1#y"}, "http://h", "%3Fx%3D1%23y", id="value-makes-no-query"),
        pytest.param("http://h/{a}", {"a": "x/y"}, "http://h", "x%2Fy", id="value-makes-no-segment"),
        pytest.param("http://h/{a}", {"a": "%2F"}, "http://h", "%252F", id="percent"),
        pytest.param("http://h/größe/{a}", {"a": "日"}, "http://h", "gr%C3%B6%C3%9Fe/%E6%97%A5", id="utf-8"),
        pytest.param(
            "http://h/a%20b/{a}", {"a": "a b"}, "http://h", "a%20b/a%20b", id="literal-escape-stays"
        ),
    ],
)
def test_upstream_url_is_rendered_percent_encoded(
    text: str, params: dict[str, str], base_url: str, rendered: str
) -> None:
    template = UpstreamTemplate.parse(text)
    assert (template.base_url, template.render(params)) == (base_url, rendered)


def test_slashes_of_a_spanning_parameter_separate_segments() -> None:
    template = UpstreamTemplate.parse("http://h/{key}/end", spanning={"key"})
    assert template.render({"key": "/a//b c"}) == "/a//b%20c/end"


@pytest.mark.parametrize(
    ("template", "params"),
    [
        pytest.param("{a}{b}", {"a": ".", "b": "."}, id="two-values"),
        pytest.param(".{a}", {"a": "."}, id="after-a-dot"),
        pytest.param("x/.{a}", {"a": "/y"}, id="before-a-slash"),
        pytest.param("{a}", {"a": "x/../y"}, id="in-a-value"),
        pytest.param("{a}", {"a": "..\\y"}, id="before-a-backslash"),
    ],
)
def test_values_cannot_make_a_dot_segment(template: str, params: dict[str, str]) -> None:
    with pytest.raises(BadPath):
        ObjectTemplate.parse(f"s:{template}").render(params)
    with pytest.raises(BadPath):
        UpstreamTemplate.parse(f"http://h/{template}", spanning={"a"}).render(params)


def test_query_of_an_upstream_is_not_in_its_repr() -> None:
    assert "secret" not in repr(UpstreamTemplate.parse("http://h/a?key=secret"))


@given(SEGMENTS)
def test_value_fills_exactly_its_segment_of_an_upstream(value: str) -> None:
    template = UpstreamTemplate.parse("http://h:1/a/{x}/b?c=d")
    url = urlsplit(f"{template.base_url}/{template.render({'x': value})}")
    assert (url.netloc, url.query, url.fragment) == ("h:1", "c=d", "")
    assert [unquote(segment) for segment in url.path.split("/")] == ["", "a", value, "b"]
    assert url.geturl().isascii()


@given(KEYS)
def test_spanning_value_stays_below_its_place_in_an_upstream(value: str) -> None:
    template = UpstreamTemplate.parse("http://h:1/a/{x}", spanning={"x"})
    url = urlsplit(f"{template.base_url}/{template.render({'x': value})}")
    assert (url.netloc, url.query, url.fragment) == ("h:1", "", "")
    assert [unquote(segment) for segment in url.path.split("/")] == ["", "a", *value.split("/")]


KEY_ROUTER = router("/files/{key:path}")
KEY_TEMPLATE = ObjectTemplate.parse("images:{key}")


def key_of(path: str) -> str:
    match = KEY_ROUTER.match(path.encode())
    assert isinstance(match, Match)
    store, key = KEY_TEMPLATE.render(match.params)
    assert store == "images"
    return key


@pytest.mark.parametrize(
    ("path", "key"),
    [
        pytest.param("/files/a+b%20(1)'!*.jpg", "a+b (1)'!*.jpg", id="punctuation"),
        pytest.param("/files/a//b", "a//b", id="doubled-slash"),
        pytest.param("/files///", "//", id="slashes-alone"),
        pytest.param("/files/%252F", "%2F", id="literal-escape"),
        pytest.param("/files/%252e%252e/a", "%2e%2e/a", id="literal-escaped-dots"),
        pytest.param("/files/" + quote("日本語.jpg"), "日本語.jpg", id="cjk"),
        pytest.param("/files/" + quote("🍋/é"), "🍋/é", id="emoji"),
        pytest.param("/files/%22%27%60", "\"'`", id="quotes"),
        pytest.param("/files/{key}", "{key}", id="braces"),
        pytest.param("/files/a/", "a/", id="trailing-slash"),
    ],
)
def test_odd_key_is_reached_by_its_percent_encoding(path: str, key: str) -> None:
    assert key_of(path) == key


@given(KEYS)
def test_any_key_is_reached_by_its_percent_encoding(key: str) -> None:
    assert key_of("/files/" + quote(key, safe="/")) == key
    assert key_of("/files/" + quote(key, safe="")) == key


@given(SEGMENTS)
def test_value_reaches_its_place_in_a_key_unchanged(value: str) -> None:
    match = router("/t/{x}/i").match(f"/t/{quote(value, safe='')}/i".encode())
    assert isinstance(match, Match)
    assert ObjectTemplate.parse("s:test/{x}/i.jpg").render(match.params) == ("s", f"test/{value}/i.jpg")
