"""Basic authentication: who is let in, what it costs, and what is remembered."""

import asyncio
import base64
import threading
from ipaddress import ip_address, ip_network
from typing import Annotated

import httpx
import pytest
from argon2.low_level import Type, hash_secret
from fastapi import Depends, FastAPI
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.base import AccessRequest, Grant, Refusal, Verdict
from sluicegate.access.basic import REMEMBERED_SECONDS, BasicUsers, hash_password
from sluicegate.access.dependency import require
from sluicegate.access.errors import BadCredentials
from sluicegate.testing import assert_no_leak
from tests.access.clock import Clock

CHALLENGE = 'Basic realm="files", charset="UTF-8"'

ABSENT = Refusal(reason="no Basic credentials", challenge=CHALLENGE, absent=True)
MALFORMED = Refusal(reason="Basic credentials that are not well-formed", challenge=CHALLENGE)
WRONG = Refusal(reason="an unknown user or a wrong password", challenge=CHALLENGE)
ALICE = Grant(subject="alice", claims={"sub": "alice"})


def cheap(password: str) -> str:
    """A hash that is checked in next to no time."""
    return hash_secret(password.encode(), b"saltsalt", 1, 8, 1, 16, Type.ID).decode()


USERS = {"alice": cheap("open: sesame"), "bj\xf6rn": cheap("sm\xf8rrebr\xf8d"), "empty": cheap("")}


def sent(value: bytes, client: str | None = None) -> AccessRequest:
    address = None if client is None else ip_address(client)
    return AccessRequest("GET", "/photos/1.jpg", headers=((b"authorization", value),), client=address)


def basic(user: str, password: str, scheme: bytes = b"Basic ", client: str | None = None) -> AccessRequest:
    return sent(scheme + base64.b64encode(f"{user}:{password}".encode()), client)


async def verdict(shown: AccessRequest) -> Verdict:
    async with BasicUsers(USERS, "files") as users:
        return await users.verify(shown)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param(basic("alice", "open: sesame"), ALICE, id="right"),
        pytest.param(basic("alice", "open: sesame", b"bAsIc   "), ALICE, id="scheme-in-any-case"),
        pytest.param(basic("alice", "open: Sesame"), WRONG, id="wrong"),
        pytest.param(basic("alice", "open"), WRONG, id="up-to-the-colon"),
        pytest.param(basic("alice", ""), WRONG, id="no-password"),
        pytest.param(basic("Alice", "open: sesame"), WRONG, id="user-in-another-case"),
        pytest.param(basic("nobody", "open: sesame"), WRONG, id="unknown"),
        pytest.param(basic("", ""), WRONG, id="nothing"),
        pytest.param(basic("alice", USERS["alice"]), WRONG, id="what-is-stored"),
        pytest.param(AccessRequest("GET", "/"), ABSENT, id="absent"),
        pytest.param(sent(b"Bearer abc"), ABSENT, id="other-scheme"),
        pytest.param(sent(b"Basically abc"), ABSENT, id="scheme-that-begins-alike"),
        pytest.param(sent(b""), ABSENT, id="empty"),
        pytest.param(sent(b"Basic"), MALFORMED, id="scheme-alone"),
        pytest.param(sent(b"Basic ???"), MALFORMED, id="not-base64"),
        pytest.param(sent(b"Basic YWxpY2U"), MALFORMED, id="no-padding"),
        pytest.param(sent(b"Basic " + base64.b64encode(b"alice")), MALFORMED, id="no-colon"),
        pytest.param(sent(b"Basic " + base64.b64encode(b"alice:\xff")), MALFORMED, id="not-utf-8"),
        pytest.param(sent(b"Basic " + base64.b64encode(b"al\0ice:x")), MALFORMED, id="nul-in-user"),
        pytest.param(sent(b"Basic " + base64.b64encode(b"alice:x\ny")), MALFORMED, id="newline-in-password"),
        pytest.param(sent(b"Basic YTpi, Basic YTpi"), MALFORMED, id="two-fields"),
        pytest.param(basic("u" * 257, "x"), MALFORMED, id="long-user"),
        pytest.param(basic("alice", "p" * 100_000), MALFORMED, id="long-password"),
    ],
)
async def test_verdict(shown: AccessRequest, expected: Verdict) -> None:
    assert await verdict(shown) == expected


async def test_characters_may_be_composed_or_not() -> None:
    expected = Grant(subject="bj\xf6rn", claims={"sub": "bj\xf6rn"})
    assert await verdict(basic("bj\xf6rn", "sm\xf8rrebr\xf8d")) == expected
    assert await verdict(basic("bjo\u0308rn", "sm\xf8rrebr\xf8d")) == expected


async def test_hash_that_is_made_here_is_let_in() -> None:
    password = "e\u0301l\xe8ve"
    async with BasicUsers({"alice": hash_password(password)}, "files") as users:
        assert await users.verify(basic("alice", password)) == ALICE
        assert await users.verify(basic("alice", "\xe9l\xe8ve")) == ALICE


@pytest.mark.parametrize(
    ("user", "stored", "message"),
    [
        pytest.param("bob", "secret", "hash of user 'bob' is no argon2id hash", id="plain"),
        pytest.param(
            "bob", cheap("x").replace("m=8", "m=104857600"), "'bob' asks for m=104857600", id="100-GiB"
        ),
        pytest.param("", cheap("x"), "needs a name", id="no-name"),
        pytest.param("a:b", cheap("x"), "but the colon", id="colon"),
        pytest.param("a\nb", cheap("x"), "printable", id="control"),
        pytest.param("u" * 257, cheap("x"), "1 to 256 bytes", id="long"),
        pytest.param("bjo\u0308rn", cheap("x"), "there twice", id="same-characters"),
    ],
)
def test_table_that_cannot_be_used_is_refused(user: str, stored: str, message: str) -> None:
    with pytest.raises(BadCredentials, match=message) as raised:
        BasicUsers({**USERS, user: stored}, "files")
    assert stored not in str(raised.value)


async def test_pair_that_was_right_is_not_checked_again_for_a_while() -> None:
    clock = Clock()
    async with BasicUsers(USERS, "files", clock=clock) as users:
        assert await users.verify(basic("alice", "open: sesame")) == ALICE
        clock.now += REMEMBERED_SECONDS - 1
        # Nothing waits: it is done at its first step.
        assert _result_at_once(users, basic("alice", "open: sesame")) == ALICE
        assert _result_at_once(users, basic("alice", "wrong")) is None
        assert _result_at_once(users, basic("bj\xf6rn", "open: sesame")) is None
        clock.now += 1
        assert _result_at_once(users, basic("alice", "open: sesame")) is None
        await asyncio.sleep(0)


async def test_pair_that_was_wrong_is_checked_each_time() -> None:
    async with BasicUsers(USERS, "files") as users:
        for _ in range(3):
            assert _result_at_once(users, basic("alice", "wrong")) is None
            assert await users.verify(basic("alice", "wrong")) == WRONG


async def test_user_who_does_not_exist_is_checked_as_well() -> None:
    # Without any user too: each of them takes a thread, or waits for one.
    async with BasicUsers({}, "files") as users:
        before = set(threading.enumerate())
        assert await users.verify(basic("nobody", "x")) == WRONG
        assert [thread.name for thread in set(threading.enumerate()) - before] == ["sluicegate-passwords_0"]


@pytest.mark.parametrize("user", ["alice", "nobody"])
async def test_flood_of_guesses_is_refused_with_503(user: str) -> None:
    async with BasicUsers(USERS, "files") as users:
        guesses = [users.verify(basic(user, f"guess {number}")) for number in range(40)]
        seen = await asyncio.gather(*guesses)
    busy = Refusal(reason="32 checks of passwords wait already", status=503)
    assert seen == [WRONG] * 34 + [busy] * 6


FLOOD = (["192.0.2.7"] * 40, ["2001:db8:1:2::7", "2001:db8:1:2:3::4"] * 20)


@pytest.mark.parametrize("attackers", FLOOD, ids=["ipv4", "ipv6-of-one-network"])
async def test_flood_of_one_client_locks_nobody_else_out(attackers: list[str]) -> None:
    async with BasicUsers(USERS, "files") as users:
        guesses = [
            users.verify(basic("alice", f"guess {number}", client=attacker))
            for number, attacker in enumerate(attackers)
        ]
        others = [users.verify(basic("alice", "open: sesame", client="198.51.100.1"))]
        seen = await asyncio.gather(*guesses, *others)
    busy = Refusal(reason="4 checks of passwords of one client wait already", status=503)
    assert seen == [*[WRONG] * 6, *[busy] * 34, ALICE]


async def test_flood_of_one_client_locks_nobody_else_out_of_an_application() -> None:
    async with BasicUsers({"alice": hash_password("open: sesame")}, "files") as users:
        app = FastAPI()
        granted = require(users, trusted_proxies=[ip_network("10.0.0.0/8")])

        @app.get("/")
        async def read(grant: Annotated[Grant, Depends(granted)]) -> str | None:
            return grant.subject

        transport = httpx.ASGITransport(app, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://sluicegate.test") as client:

            async def status(address: str, password: str) -> int:
                shown = {"x-forwarded-for": address}
                return (await client.get("/", auth=("alice", password), headers=shown)).status_code

            guesses = [status("192.0.2.7", f"guess {number}") for number in range(40)]
            seen = await asyncio.gather(*guesses, status("198.51.100.1", "open: sesame"))
    assert (set(seen[:40]), seen[40]) == ({401, 503}, 200)


async def test_many_requests_of_one_page_cost_one_check() -> None:
    async with BasicUsers(USERS, "files") as users:
        seen = await asyncio.gather(*[users.verify(basic("alice", "open: sesame")) for _ in range(200)])
    assert seen == [ALICE] * 200


async def test_one_who_leaves_takes_no_other_along() -> None:
    async with assert_no_leak(), BasicUsers({"alice": hash_password("right")}, "files") as users:
        first, second = (asyncio.create_task(users.verify(basic("alice", "right"))) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        assert await second == ALICE
        assert first.cancelled()


async def test_leaving_and_closing_leave_nothing_behind() -> None:
    async with assert_no_leak():
        async with BasicUsers({"alice": hash_password("right")}, "files") as users:
            asked = [asyncio.create_task(users.verify(basic("alice", f"guess {n}"))) for n in range(10)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for one in asked[:5]:
                one.cancel()
        seen = await asyncio.gather(*asked, return_exceptions=True)
    closed = Refusal(reason="the verifier was closed", status=503)
    assert [type(one) for one in seen[:5]] == [asyncio.CancelledError] * 5
    assert seen[5:] == [closed] * 5


async def test_it_must_be_entered() -> None:
    with pytest.raises(RuntimeError, match="lifespan"):
        await BasicUsers(USERS, "files").verify(basic("alice", "open: sesame"))


@given(value=st.binary(max_size=300), encoded=st.booleans())
async def test_any_bytes_are_refused_without_an_exception(value: bytes, encoded: bool) -> None:
    seen = await verdict(sent(b"Basic " + base64.b64encode(value) if encoded else value))
    assert isinstance(seen, Refusal)
    assert (seen.status, seen.challenge) == (401, CHALLENGE)


def _result_at_once(users: BasicUsers, shown: AccessRequest) -> Verdict | None:
    """The verdict, if nothing has to be waited for."""
    verifying = users.verify(shown)
    try:
        verifying.send(None)
    except StopIteration as stopped:
        return stopped.value
    finally:
        verifying.close()
    return None


def test_users_without_names_are_refused() -> None:
    with pytest.raises(TypeError, match=r"users is a mapping, such as .*, got list"):
        BasicUsers(["x"], "files")  # type: ignore[arg-type]
