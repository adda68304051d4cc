"""Forward authentication: what the service is asked, and what its answers mean."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.base import Grant, Refusal
from tests.access.forwarding import FIELDS, LOGIN, NO, TOKEN, YES, asked, forward, reason, verdict
from tests.sources.raw_origin import CLOSE, answer, raw_origin

# What the service is asked.


async def test_service_is_told_what_was_asked_and_by_whom() -> None:
    async with raw_origin(YES) as origin, forward(origin, request_fields={"X-Gateway": "secret"}) as auth:
        cookie = (b"cookie", b"a=1; b=sch\xc3\xb6n")
        await auth.verify(asked(TOKEN, cookie, (b"accept", b"x/y"), method="HEAD", query="a=1&b=%20"))
        request = origin.requests[0]
    assert (request.method, request.target) == ("GET", "/verify?route=1")
    ours = ("host", "accept", "accept-encoding")
    assert {name: value for name, value in request.fields.items() if name not in ours} == {
        "x-gateway": "secret",
        "x-forwarded-method": "HEAD",
        "x-forwarded-uri": "/photos/a%20b.jpg?a=1&b=%20",
        "x-forwarded-for": "192.0.2.7",
        "authorization": "Bearer abc",
        # What was sent, byte for byte; `raw_origin` reads it as Latin-1.
        "cookie": b"a=1; b=sch\xc3\xb6n".decode("latin-1"),
    }
    assert request.fields["accept"] == "*/*"


async def test_client_cannot_speak_for_us() -> None:
    forged = [
        (name, b"forged")
        for name in (b"x-forwarded-for", b"x-forwarded-uri", b"x-forwarded-method", b"x-forwarded-host")
    ]
    async with raw_origin(YES) as origin, forward(origin) as auth:
        await auth.verify(asked(*forged, (b"forwarded", b"for=forged"), (b"host", b"forged"), client=None))
        fields = origin.requests[0].fields
    assert "forged" not in fields.values()
    assert "x-forwarded-for" not in fields
    assert fields["x-forwarded-uri"] == "/photos/a%20b.jpg"


async def test_query_of_odd_bytes_is_encoded_and_splits_no_field() -> None:
    async with raw_origin(YES) as origin, forward(origin) as auth:
        await auth.verify(asked(query="a=\xe9\r\nx: y&b=%zz #'"))
        assert origin.requests[0].fields["x-forwarded-uri"] == (
            "/photos/a%20b.jpg?a=%E9%0D%0Ax:%20y&b=%zz%20#'"
        )
        assert "x" not in origin.requests[0].fields


async def test_other_fields_are_passed_on_where_they_are_named() -> None:
    async with raw_origin(YES) as origin, forward(origin, forward_fields=("X-Session",)) as auth:
        await auth.verify(asked(TOKEN, (b"x-session", b"1"), (b"x-session", b"2")))
        fields = origin.requests[0].fields
    assert fields["x-session"] == "1, 2"
    assert "authorization" not in fields


@pytest.mark.parametrize("value", [b"a\r\nx-forwarded-for: 1", b"a\0", b"a\x7f", b"latin-1 \xe9"])
async def test_field_that_cannot_be_passed_on_as_it_is_refuses(value: bytes) -> None:
    async with raw_origin(YES) as origin, forward(origin) as auth:
        seen = await auth.verify(asked((b"cookie", value)))
        assert origin.requests == []
    assert seen == Refusal(reason="a field that cannot be passed on", challenge="Bearer")


async def test_cookie_that_the_service_sets_is_not_sent_again() -> None:
    setting = (answer("200 OK", set_cookie="session=1; Path=/"),)
    async with raw_origin(setting) as origin, forward(origin) as auth:
        for _ in range(2):
            await auth.verify(asked())
        assert ["cookie" in request.fields for request in origin.requests] == [False, False]


# What it answers.


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "299 Odd"])
async def test_any_success_grants(status: str) -> None:
    content_length = None if status.startswith("204") else "0"
    assert await verdict((answer(status, content_length=content_length),)) == Grant()


async def test_401_refuses_with_the_challenge_of_the_service() -> None:
    seen = await verdict(LOGIN)
    assert isinstance(seen, Refusal)
    assert (seen.status, seen.challenge, seen.absent) == (401, 'Digest realm="x", qop="auth"', False)
    assert seen.reason.endswith("/verify answered 401")


async def test_401_to_one_who_showed_nothing_says_so() -> None:
    seen = await verdict(LOGIN, asked())
    assert isinstance(seen, Refusal)
    assert (seen.status, seen.absent) == (401, True)


@pytest.mark.parametrize(
    "challenge",
    [None, "", '"', "Basic realm=\xe9", "Basic " + "x" * 2000],
    ids=["none", "empty", "no-scheme", "latin-1", "long"],
)
async def test_challenge_that_is_none_is_replaced(challenge: str | None) -> None:
    seen = await verdict((answer("401 Unauthorized", www_authenticate=challenge),))
    assert isinstance(seen, Refusal)
    assert (seen.status, seen.challenge) == (401, "Bearer")


async def test_several_challenges_are_passed_on() -> None:
    fields = b"www-authenticate: Basic realm=x\r\nWWW-Authenticate: Bearer\r\ncontent-length: 0\r\n\r\n"
    two = b"HTTP/1.1 401 No\r\n" + fields
    seen = await verdict((two,))
    assert isinstance(seen, Refusal)
    assert seen.challenge == "Basic realm=x, Bearer"


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
async def test_403_and_404_refuse_with_403(status: str) -> None:
    seen = await verdict((answer(status, www_authenticate="Basic"),))
    assert isinstance(seen, Refusal)
    assert (seen.status, seen.challenge, seen.absent) == (403, None, False)


@pytest.mark.parametrize(
    "status", ["400 A", "402 B", "405 C", "418 D", "429 E", "500 F", "502 G", "503 H", "600 I", "999 J"]
)
async def test_any_other_answer_denies(status: str) -> None:
    words = reason(await verdict((answer(status, b"secret of the service"),)))
    assert words == f"answered {status[:3]}: a verdict is 2xx, 401, 403 or 404"


@pytest.mark.parametrize("status", ["301 A", "302 B", "303 C", "304 D", "307 E", "308 F"])
async def test_redirect_is_not_followed(status: str) -> None:
    async with raw_origin(YES) as elsewhere:
        words = reason(await verdict((answer(status, location=f"{elsewhere.url}/login"),)))
        assert elsewhere.requests == []
    assert words.startswith(f"answered {status[:3]}")


async def test_fields_tell_who_it_is_and_which_object() -> None:
    fields = {
        "x_user": "alice",
        "x_team": "sch\xc3\xb6n",
        "x_plan": "gold",
        "x_key": "a%20b/%E9%8A%80+%25.jpg",
    }
    seen = await verdict((answer("200 OK", **fields),), **FIELDS)
    assert seen == Grant(subject="alice", claims={"team": "sch\xf6n", "plan": "gold"}, key="a b/\u9280+%.jpg")


async def test_fields_that_are_not_there_leave_their_places_empty() -> None:
    assert await verdict((answer("200 OK", x_plan="", x_user=""),), **FIELDS) == Grant()


async def test_fields_count_only_where_they_are_named() -> None:
    fields = {"x_user": "alice", "x_team": "red", "x_key": "../secret"}
    assert await verdict((answer("200 OK", **fields),)) == Grant()


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("a b", "not percent-encoded", id="space"),
        pytest.param("100%", "not percent-encoded", id="broken-escape"),
        pytest.param("sch\xc3\xb6n", "not percent-encoded", id="raw-utf-8"),
        pytest.param("%FF", "not UTF-8", id="latin-1"),
        pytest.param("%ED%A0%80", "not UTF-8", id="surrogate"),
        pytest.param("a%00b", "control characters", id="nul"),
        pytest.param("a%0Ab", "control characters", id="newline"),
        pytest.param("a%C2%85b", "control characters", id="c1"),
        pytest.param("..", "dot segment", id="dots"),
        pytest.param("a/../b", "dot segment", id="dots-inside"),
        pytest.param("a/%2e%2e/b", "dot segment", id="encoded-dots"),
        pytest.param("a%2F.%2Fb", "dot segment", id="encoded-slashes"),
        pytest.param("a%5C..", "dot segment", id="backslash"),
        pytest.param("k" * 1025, "1025 bytes, at most 1024", id="long"),
    ],
)
async def test_bad_key_denies(key: str, problem: str) -> None:
    words = reason(await verdict((answer("200 OK", x_key=key),), **FIELDS))
    assert words.startswith("granted access, but the key in its field 'X-Key' ")
    assert problem in words
    assert not key or len(key) < 4 or key not in words


@pytest.mark.parametrize(
    "key",
    ["k" * 1024, "a%252e%252e/b", "...", ".a/b.", "//", "a%2Fb", "%E9%8A%80" * 100],
    ids=lambda key: key[:9],
)
async def test_odd_key_is_decoded_once(key: str) -> None:
    seen = await verdict((answer("200 OK", x_key=key),), **FIELDS)
    assert isinstance(seen, Grant)
    assert seen.key == key.replace("%25", "%").replace("%2F", "/").replace("%E9%8A%80", "\u9280")


@pytest.mark.parametrize("name", ["x_user", "x_team"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("\xff", "not UTF-8"),
        ("a\tb", "control characters"),
        ("\xc2\x85", "control characters"),
        ("v" * 1025, "1025"),
    ],
    ids=["latin-1", "tab", "c1", "long"],
)
async def test_bad_subject_or_claim_denies(name: str, value: str, problem: str) -> None:
    assert problem in reason(await verdict((answer("200 OK", **{name: value}),), **FIELDS))


@pytest.mark.parametrize("name", [b"X-User", b"X-Team", b"x-key"])
async def test_field_that_is_there_twice_denies(name: bytes) -> None:
    twice = b"HTTP/1.1 200 OK\r\n%s: a\r\n%s: b\r\ncontent-length: 0\r\n\r\n" % (name, name)
    assert "is there 2 times" in reason(await verdict((twice,), **FIELDS))


# Anything at all.


@given(
    fields=st.lists(st.tuples(st.sampled_from([b"authorization", b"cookie", b"x"]), st.binary(max_size=50))),
    query=st.binary(max_size=50),
    method=st.text(max_size=10),
    cache_seconds=st.sampled_from([0.0, 30.0]),
)
async def test_any_request_is_answered_without_an_exception(
    fields: Sequence[tuple[bytes, bytes]], query: bytes, method: str, cache_seconds: float
) -> None:
    async with raw_origin(NO) as origin, forward(origin, cache_seconds=cache_seconds) as auth:
        seen = await auth.verify(asked(*fields, method=method, query=query.decode("latin-1")))
        assert isinstance(seen, Refusal)
        assert seen.status == (403 if origin.requests else 401)
        for request in origin.requests:
            assert set(request.fields) <= {
                *("host", "accept", "accept-encoding", "authorization", "cookie"),
                *("x-forwarded-method", "x-forwarded-uri", "x-forwarded-for"),
            }


@given(
    head=st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [
                    b"X-Key: a%2Fb",
                    b"X-User: alice",
                    b"WWW-Authenticate: Basic",
                    b"Set-Cookie: a",
                    b"Location: /",
                ]
            ),
        ),
        max_size=5,
    ),
    status=st.sampled_from([b"200 OK", b"401 No", b"302 Found", b"403 No", b"101 Switch"]),
)
async def test_any_answer_is_judged_without_an_exception(head: list[bytes], status: bytes) -> None:
    steps = (b"HTTP/1.1 " + b"\r\n".join([status, *head, b"", b""]), CLOSE)
    async with raw_origin(steps) as origin, forward(origin, timeout_seconds=1.0, **FIELDS) as auth:
        seen = await auth.verify(asked(TOKEN))
    assert isinstance(seen, Grant) or seen.status in (401, 403, 503)
