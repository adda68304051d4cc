"""Several verifiers as one: what the first that grants decides, and what is told where none does."""

from typing import Self

import pytest

from sluicegate.access.any_of import AnyOf, combined
from sluicegate.access.base import AccessRequest, Grant, Refusal, Stateless, Verdict
from sluicegate.access.links import SignedLinks

from .signing import KEYS, Clock, asked

BASIC, BEARER = 'Basic realm="files"', 'Bearer realm="files"'

NO_LINK = Refusal(reason="no link", status=403, absent=True)
NO_BASIC = Refusal(reason="no password", status=401, challenge=BASIC, absent=True)
NO_BEARER = Refusal(reason="no token", status=401, challenge=BEARER, absent=True)
BAD_LINK = Refusal(reason="expired", status=403)
BAD_BASIC = Refusal(reason="wrong password", status=401, challenge=BASIC)
BAD_BEARER = Refusal(reason="bad token", status=401, challenge=f'{BEARER}, error="invalid_token"')
MALFORMED = Refusal(reason="two tokens", status=400)
FORBIDDEN = Refusal(reason="not his", status=403)
AWAY = Refusal(reason="service away", status=503)
BARE = Refusal(reason="no challenge", status=401)


class Says(Stateless):
    """A verifier with one verdict; counts how often it was asked."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked = 0

    async def verify(self, request: AccessRequest) -> Verdict:
        self.asked += 1
        return self.verdict


def names(*refusals: Refusal) -> list[tuple[str, Refusal]]:
    return [(chr(ord("a") + place), refusal) for place, refusal in enumerate(refusals)]


BOTH = f"{BASIC}, {BEARER}"


@pytest.mark.parametrize(
    ("refusals", "expected"),
    [
        pytest.param([], Refusal(reason="nothing grants access here", status=403, absent=True), id="none"),
        pytest.param([NO_LINK], Refusal(reason="a: no link", status=403, absent=True), id="no-link"),
        pytest.param(
            [NO_BASIC],
            Refusal(reason="a: no password", status=401, challenge=BASIC, absent=True),
            id="no-password",
        ),
        pytest.param(
            [NO_LINK, NO_BASIC],
            Refusal(reason="a: no link; b: no password", status=401, challenge=BASIC, absent=True),
            id="nothing-shown-and-one-can-be-asked-for",
        ),
        pytest.param(
            [NO_BASIC, NO_BEARER],
            Refusal(reason="a: no password; b: no token", status=401, challenge=BOTH, absent=True),
            id="nothing-shown-and-two-can-be-asked-for",
        ),
        pytest.param(
            [BAD_LINK, NO_BASIC],
            Refusal(reason="a: expired", status=403),
            id="bad-link-shown",
        ),
        pytest.param(
            [NO_LINK, BAD_BASIC, NO_BEARER],
            Refusal(reason="b: wrong password", status=401, challenge=BOTH),
            id="bad-password-shown",
        ),
        pytest.param(
            [BAD_BASIC, BAD_BEARER],
            Refusal(
                reason="a: wrong password; b: bad token",
                status=401,
                challenge=f'{BASIC}, {BEARER}, error="invalid_token"',
            ),
            id="two-shown-both-bad",
        ),
        pytest.param(
            [BAD_BASIC, FORBIDDEN],
            Refusal(reason="a: wrong password; b: not his", status=403),
            id="known-and-not-allowed",
        ),
        pytest.param(
            [FORBIDDEN, MALFORMED, BAD_BASIC],
            Refusal(reason="a: not his; b: two tokens; c: wrong password", status=400),
            id="malformed",
        ),
        pytest.param(
            [MALFORMED, AWAY, BAD_BASIC],
            Refusal(reason="a: two tokens; b: service away; c: wrong password", status=503),
            id="somebody-could-not-be-asked",
        ),
        pytest.param(
            [NO_LINK, AWAY], Refusal(reason="b: service away", status=503), id="only-one-who-is-away"
        ),
        pytest.param([BARE], Refusal(reason="a: no challenge", status=403), id="no-401-without-a-challenge"),
        pytest.param(
            [BARE, NO_BASIC],
            Refusal(reason="a: no challenge", status=401, challenge=BASIC),
            id="challenge-of-another",
        ),
        pytest.param(
            [Refusal(reason="odd", status=418)], Refusal(reason="a: odd", status=403), id="other-status"
        ),
    ],
)
def test_refusals_are_told_as_one(refusals: list[Refusal], expected: Refusal) -> None:
    assert combined(names(*refusals)) == expected


@pytest.mark.parametrize("refusal", [NO_LINK, BAD_LINK, BAD_BASIC, FORBIDDEN, AWAY, MALFORMED])
async def test_first_that_grants_decides_and_nobody_is_asked_after_it(refusal: Refusal) -> None:
    refuses, grants, later = Says(refusal), Says(Grant(subject="anna")), Says(Grant(subject="bob"))
    async with AnyOf({"one": refuses, "two": grants, "three": later}) as any_of:
        assert await any_of.verify(asked("/a")) == Grant(subject="anna")
    assert [refuses.asked, grants.asked, later.asked] == [1, 1, 0]


async def test_refusal_names_who_refused() -> None:
    async with AnyOf({"links": Says(BAD_LINK), "staff": Says(FORBIDDEN), "keys": Says(NO_BASIC)}) as any_of:
        assert await any_of.verify(asked("/a")) == Refusal(
            reason="links: expired; staff: not his", status=403
        )


async def test_without_a_verifier_nothing_is_granted() -> None:
    async with AnyOf({}) as any_of:
        assert isinstance(await any_of.verify(asked("/a")), Refusal)


async def test_any_of_may_be_one_of_several() -> None:
    inner = AnyOf({"basic": Says(NO_BASIC), "bearer": Says(NO_BEARER)})
    async with AnyOf({"links": SignedLinks(KEYS, clock=Clock()), "people": inner}) as any_of:
        assert await any_of.verify(asked("/a")) == Refusal(
            reason="links: no link; people: basic: no password; bearer: no token",
            status=401,
            challenge=BOTH,
            absent=True,
        )


class Opened:
    """A verifier that writes down when it is opened and closed."""

    def __init__(self, name: str, log: list[str], *, opens: bool = True, closes: bool = True) -> None:
        self.name, self.log, self.opens, self.closes = name, log, opens, closes

    async def verify(self, request: AccessRequest) -> Verdict:
        return Grant(subject=self.name)

    async def __aenter__(self) -> Self:
        if not self.opens:
            raise OSError(f"{self.name} does not open")
        self.log.append(f"+{self.name}")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.log.append(f"-{self.name}")
        if not self.closes:
            raise OSError(f"{self.name} does not close")


async def test_all_are_opened_in_order_and_closed_in_reverse() -> None:
    log: list[str] = []
    async with AnyOf({"a": Opened("a", log), "b": Opened("b", log)}):
        assert log == ["+a", "+b"]
    assert log == ["+a", "+b", "-b", "-a"]


async def test_those_that_were_opened_are_closed_where_another_does_not_open() -> None:
    log: list[str] = []
    with pytest.raises(OSError, match="b does not open"):
        async with AnyOf({"a": Opened("a", log), "b": Opened("b", log, opens=False), "c": Opened("c", log)}):
            pytest.fail("entered")
    assert log == ["+a", "-a"]


async def test_all_are_closed_though_one_does_not_close() -> None:
    log: list[str] = []
    with pytest.raises(OSError, match="b does not close"):
        async with AnyOf({"a": Opened("a", log), "b": Opened("b", log, closes=False), "c": Opened("c", log)}):
            pass
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_any_of_can_be_opened_again_after_it_was_closed() -> None:
    log: list[str] = []
    any_of = AnyOf({"a": Opened("a", log)})
    for _ in range(2):
        async with any_of:
            assert await any_of.verify(asked("/a")) == Grant(subject="a")
    assert log == ["+a", "-a", "+a", "-a"]


def test_verifiers_without_names_are_refused() -> None:
    with pytest.raises(TypeError, match=r"verifiers is a mapping, such as .*, got list"):
        AnyOf([SignedLinks(KEYS)])  # type: ignore[arg-type]
