"""Hashes of passwords: which are taken, what they may cost, and how many are checked at once."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type, hash_secret

from sluicegate.access import passwords
from sluicegate.access.errors import BadCredentials
from sluicegate.access.passwords import (
    CHECKS_AT_ONCE,
    MAX_WAITING,
    MAX_WAITING_OF_CLIENT,
    CheckFailed,
    PasswordChecks,
    PasswordHash,
    TooManyChecks,
    costliest,
    hash_password,
)
from sluicegate.testing import assert_no_leak

SALT, TAG = "c2FsdHNhbHRzYWx0c2FsdA", "dGFndGFndGFndGFndGFndGFn"


def cheap(password: str) -> PasswordHash:
    """A hash that is checked in next to no time."""
    return PasswordHash.parse(hash_secret(password.encode(), b"saltsalt", 1, 8, 1, 16, Type.ID).decode())


def phc(memory: str = "65536", passes: str = "3", lanes: str = "1", salt: str = SALT, tag: str = TAG) -> str:
    return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${tag}"


@pytest.fixture(scope="module")
def hashed() -> str:
    return hash_password("sch\xf6n \u9280\u884c")


def test_hash_of_a_password_is_one_that_everybody_understands(hashed: str) -> None:
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert PasswordHasher().verify(hashed, "sch\xf6n \u9280\u884c")


def test_hash_is_written_as_it_was_read(hashed: str) -> None:
    assert str(PasswordHash.parse(hashed)) == hashed
    assert str(PasswordHash.parse(phc())) == phc()


def test_hash_does_not_show_itself_to_a_log(hashed: str) -> None:
    assert repr(PasswordHash.parse(hashed)) == "<PasswordHash m=65536 t=3 p=1>"


@pytest.mark.parametrize("password", ["", "a\nb", "\0", "\x7f", "\x85", "p" * 1025, "\ud800"])
def test_what_cannot_be_sent_is_no_password(password: str) -> None:
    with pytest.raises(BadCredentials, match="1 to 1024 bytes"):
        hash_password(password)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("secret", id="plain"),
        pytest.param("$2b$12$abcdefghijklmnopqrstuv", id="bcrypt"),
        pytest.param(phc().replace("argon2id", "argon2i"), id="argon2i"),
        pytest.param(phc().replace("argon2id", "argon2d"), id="argon2d"),
        pytest.param(phc().replace("v=19", "v=16"), id="old-version"),
        pytest.param(phc().replace("v=19$", ""), id="no-version"),
        pytest.param(phc(memory="-65536"), id="negative"),
        pytest.param(phc(memory="0"), id="no-memory"),
        pytest.param(phc(passes="0"), id="no-passes"),
        pytest.param(phc(lanes="0"), id="no-lanes"),
        pytest.param(phc(memory="99999999999"), id="many-digits"),
        pytest.param(phc(salt="c2FsdA"), id="short-salt"),
        pytest.param(phc(tag="dGFn"), id="short-tag"),
        pytest.param(phc(tag=TAG + "="), id="padded"),
        pytest.param(phc() + "\n", id="newline"),
        pytest.param(phc(salt="A" * 13), id="not-base64"),
        pytest.param(phc(salt="A" * 10 + "B"), id="bits-at-the-end"),
    ],
)
def test_what_is_no_argon2id_hash_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(BadCredentials) as raised:
        PasswordHash.parse(text)
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            phc(memory=str(100 * 1024**2)), "m=104857600 KiB of memory, at most 1048576", id="100-GiB"
        ),
        pytest.param(phc(memory=str(1024**2 + 1)), "at most 1048576", id="more-than-1-GiB"),
        pytest.param(phc(memory=str(1024**2), passes="5"), "t=5 passes .* at most 4", id="passes"),
        pytest.param(phc(passes="4294967295"), "at most 64", id="many-passes"),
        pytest.param(phc(lanes="17"), "p=17 lanes, at most 16", id="lanes"),
        pytest.param(phc(memory="16", lanes="3"), "p=3 lanes, at most 2", id="lanes-without-memory"),
    ],
)
def test_hash_that_costs_too_much_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadCredentials, match=message):
        PasswordHash.parse(text)


def test_greatest_cost_is_taken() -> None:
    PasswordHash.parse(phc(memory=str(1024**2), passes="4", lanes="16"))


def test_decoy_costs_the_same_and_is_another() -> None:
    stored = PasswordHash.parse(phc(lanes="2"))
    decoy = stored.decoy()
    assert (decoy.memory_kib, decoy.passes, decoy.lanes) == (65536, 3, 2)
    assert (len(decoy.salt), len(decoy.tag)) == (len(stored.salt), len(stored.tag))
    assert decoy.tag != stored.tag != stored.decoy().tag
    assert PasswordHash.parse(str(decoy)) == decoy


def test_costliest_is_by_memory_times_passes() -> None:
    small, large = PasswordHash.parse(phc(memory="1024", passes="9")), PasswordHash.parse(phc(memory="65536"))
    assert costliest([small, large, small]) == large
    assert costliest([]) is None


async def test_right_password_matches_and_another_does_not() -> None:
    checks = PasswordChecks()
    async with assert_no_leak():
        seen = [
            await checks.matches(cheap("right"), password) for password in ("right", "wrong", "", "Right")
        ]
        decoy = await checks.matches(cheap("right").decoy(), "right")
        await checks.aclose()
    assert (seen, decoy) == ([True, False, False, False], False)


async def test_so_many_run_and_so_many_wait() -> None:
    checks, stored = PasswordChecks(), cheap("right")
    before = threading.active_count()
    asked = [checks.matches(stored, "right") for _ in range(CHECKS_AT_ONCE + MAX_WAITING + 7)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert threading.active_count() - before <= CHECKS_AT_ONCE
    assert [type(result) for result in results] == [bool] * 34 + [TooManyChecks] * 7
    assert await checks.matches(stored, "right")
    await checks.aclose()


async def test_one_client_leaves_turns_to_the_others() -> None:
    checks, stored = PasswordChecks(), cheap("right")
    flood = [checks.matches(stored, f"guess {number}", "192.0.2.7") for number in range(40)]
    others = [checks.matches(stored, "right", f"198.51.100.{number}") for number in range(28)]
    late = [checks.matches(stored, "right", "203.0.113.9"), checks.matches(stored, "right", "192.0.2.7")]
    results = await asyncio.gather(*flood, *others, *late, return_exceptions=True)
    refused = [TooManyChecks] * (40 - CHECKS_AT_ONCE - MAX_WAITING_OF_CLIENT)
    assert results[:6] == [False] * 6
    assert [type(result) for result in results[6:40]] == refused
    assert results[40:68] == [True] * 28
    # All 32 wait by then.
    assert [type(result) for result in results[68:]] == [TooManyChecks] * 2
    again = [checks.matches(stored, "right", "192.0.2.7") for _ in range(6)]
    assert await asyncio.gather(*again) == [True] * 6
    await checks.aclose()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Checks that have begun end when it is set, and no sooner."""
    opened, matches = threading.Event(), passwords._matches

    def gated(stored: str, secret: bytes) -> bool:
        assert opened.wait(30)
        return matches(stored, secret)

    monkeypatch.setattr(passwords, "_matches", gated)
    return opened


async def begun(checks: list[Coroutine[Any, Any, bool]]) -> list[asyncio.Task[bool]]:
    """Checks that have come as far as they can: they run, they wait, or they were refused."""
    tasks = [asyncio.create_task(check) for check in checks]
    await asyncio.sleep(0)
    return tasks


async def test_those_who_are_cancelled_give_back_their_places(gate: threading.Event) -> None:
    checks, stored = PasswordChecks(), cheap("right")
    async with assert_no_leak():
        # Two run, the others wait.
        asked = await begun([checks.matches(stored, "wrong", f"{n // 4}") for n in range(34)])
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)
        assert all(one.cancelled() for one in asked)
        # The two still run, and hold their turns: all places to wait are free.
        waiting = await begun([checks.matches(stored, "right") for _ in range(MAX_WAITING)])
        gate.set()
        assert await asyncio.gather(*waiting) == [True] * MAX_WAITING
        await checks.aclose()


async def test_one_that_runs_holds_its_turn_after_nobody_waits_for_it(gate: threading.Event) -> None:
    checks, stored = PasswordChecks(), cheap("right")
    for running in await begun([checks.matches(stored, "wrong") for _ in range(CHECKS_AT_ONCE)]):
        running.cancel()
    waiting = await begun([checks.matches(stored, "right") for _ in range(MAX_WAITING + 1)])
    gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [bool] * MAX_WAITING + [TooManyChecks]
    await checks.aclose()


async def test_closing_waits_for_what_runs_and_begins_no_more(hashed: str) -> None:
    checks, costly = PasswordChecks(), PasswordHash.parse(hashed)
    async with assert_no_leak():
        asked = [asyncio.create_task(checks.matches(costly, "wrong")) for _ in range(4)]
        await asyncio.sleep(0)
        await checks.aclose()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(result) for result in results] == [bool, bool, CheckFailed, CheckFailed]
        with pytest.raises(CheckFailed, match="closed"):
            await checks.matches(costly, "wrong")
        await checks.aclose()


async def test_hash_that_argon2_cannot_check_is_a_failure_and_no_mismatch() -> None:
    checks = PasswordChecks()
    # Fewer passes than there can be: `parse` lets no such hash through.
    with pytest.raises(CheckFailed, match="argon2 could not check"):
        await checks.matches(PasswordHash(8, 0, 1, b"saltsalt", bytes(16)), "right")
    assert await checks.matches(cheap("right"), "right")
    await checks.aclose()
