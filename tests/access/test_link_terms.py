"""The terms of signed links: from when, to whom, how often, until when, and what they say of the answer."""

from http.cookies import SimpleCookie

import pytest

from sluicegate.access.base import Grant, Refusal
from sluicegate.access.errors import BadCredentials
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import CountUse, LinkOptions, SignedLinks

from .signing import KEYS, NEW_KEY, NOW, OLD_KEY, Clock, asked

OTHER_PATH = Refusal(reason="the signature is not that of this path", status=403)
EXPIRED = Refusal(reason="the link has expired", status=403)
ELSEWHERE = Refusal(reason="the client is not in the link's network", status=403)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock) -> SignedLinks:
    return SignedLinks(KEYS, clock=clock)


# When.


async def test_link_ends_at_its_second(links: SignedLinks, clock: Clock) -> None:
    for claims in (LinkClaims(), LinkClaims(prefix="/")):
        clock.now = NOW
        token = links.sign("/a", 60, claims)
        clock.now = NOW + 59.999
        assert await links.verify(asked("/a", token)) == Grant(subject="k1")
        for later in (NOW + 60, NOW + 60.001, NOW + 10**9):
            clock.now = later
            assert await links.verify(asked("/a", token)) == EXPIRED


async def test_link_never_ends_before_the_time_that_was_asked_for(links: SignedLinks, clock: Clock) -> None:
    clock.now = NOW + 0.7
    token = links.sign("/a", 0.1)
    clock.now = NOW + 0.799
    assert await links.verify(asked("/a", token)) == Grant(subject="k1")
    clock.now = NOW + 1
    assert await links.verify(asked("/a", token)) == EXPIRED


async def test_link_may_last_for_decades(links: SignedLinks, clock: Clock) -> None:
    decades = 50 * 365 * 24 * 3600
    token = links.sign("/a", decades)
    clock.now = NOW + decades - 1
    assert await links.verify(asked("/a", token)) == Grant(subject="k1")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e11, 1e300])
def test_lifetime_that_is_none_cannot_be_signed(links: SignedLinks, seconds: float) -> None:
    with pytest.raises(BadCredentials, match="expires_in"):
        links.sign("/a", seconds)


async def test_link_begins_at_its_second(links: SignedLinks, clock: Clock) -> None:
    token = links.sign("/a", 600, LinkClaims(not_before=NOW + 10))
    clock.now = NOW + 9.999
    early = Refusal(reason="the link is not valid yet", status=403)
    assert await links.verify(asked("/a", token)) == early
    clock.now = NOW + 10
    assert await links.verify(asked("/a", token)) == Grant(subject="k1")


# To whom.


@pytest.mark.parametrize(
    ("network", "client", "within"),
    [
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.0/24", "::ffff:192.0.2.7", True),
        ("192.0.2.0/24", "::ffff:192.0.3.7", False),
        ("192.0.2.0/24", "2001:db8::192.0.2.7", False),
        ("::ffff:192.0.2.0/120", "192.0.2.7", True),
        ("::ffff:192.0.2.0/120", "192.0.3.7", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("2001:db8::/32", "192.0.2.7", False),
        ("0.0.0.0/0", "203.0.113.9", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "192.0.2.7", False),
        ("0.0.0.0/0", None, False),
    ],
)
@pytest.mark.parametrize("prefix", [None, "/"], ids=["exact", "prefix"])
async def test_link_for_a_network_is_for_its_clients(
    links: SignedLinks, prefix: str | None, network: str, client: str | None, within: bool
) -> None:
    token = links.sign("/a", 60, LinkClaims(network=network, prefix=prefix))
    verdict = await links.verify(asked("/a", token, client=client))
    assert verdict == (Grant(subject="k1") if within else ELSEWHERE)


# What the link says of the answer, and of who it is for.


async def test_file_name_of_the_link_is_that_of_the_answer(links: SignedLinks) -> None:
    token = links.sign("/a", 60, LinkClaims(filename="Größe 日本 🎉.jpg", id="order-7"))
    assert await links.verify(asked("/a", token)) == Grant(subject="order-7", filename="Größe 日本 🎉.jpg")


async def test_prefix_link_in_the_query_is_answered_with_the_cookie(clock: Clock) -> None:
    links = SignedLinks(KEYS, LinkOptions(cookie_for_prefix=True), clock=clock)
    token = links.sign("", 60.5, LinkClaims(prefix="/hls/4%202/"))
    verdict = await links.verify(asked("/hls/4%202/index.m3u8", token))
    assert isinstance(verdict, Grant)
    assert verdict.cookie is not None
    (cookie,) = SimpleCookie(verdict.cookie).values()
    assert (cookie.key, cookie.value) == ("sluicegate_link", token)
    assert {name: value for name, value in cookie.items() if value} == {
        "path": "/hls/4%202/",
        "max-age": "61",
        "httponly": True,
        "samesite": "Lax",
        "secure": True,
    }
    segment = asked("/hls/4%202/1.ts", cookie=cookie.value)
    assert await links.verify(segment) == Grant(subject="k1")


async def test_cookie_goes_over_plain_http_only_where_the_operator_says_so(clock: Clock) -> None:
    links = SignedLinks(KEYS, LinkOptions(cookie_for_prefix=True, insecure_cookie=True), clock=clock)
    token = links.sign("", 60, LinkClaims(prefix="/"))
    cookie = f"sluicegate_link={token}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
    assert await links.verify(asked("/a", token)) == Grant(subject="k1", cookie=cookie)


async def test_no_cookie_is_set_for_exact_links_nor_unasked_nor_again(clock: Clock) -> None:
    setting = SignedLinks(KEYS, LinkOptions(cookie_for_prefix=True), clock=clock)
    exact, prefix = setting.sign("/a", 60), setting.sign("", 60, LinkClaims(prefix="/"))
    assert await setting.verify(asked("/a", exact)) == Grant(subject="k1")
    assert await setting.verify(asked("/a", cookie=prefix)) == Grant(subject="k1")
    assert await SignedLinks(KEYS, clock=clock).verify(asked("/a", prefix)) == Grant(subject="k1")


# How often.


class Uses:
    """Counts each link's, or answers what it is told to; and knows what it was asked."""

    def __init__(self, *answers: bool | int | None) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self._answers = list(answers)

    async def __call__(self, link_id: str, uses: int, seconds: int) -> bool | None:
        self.asked.append((link_id, uses, seconds))
        times = [asked_id for asked_id, _, _ in self.asked].count(link_id)
        return self._answers.pop(0) if self._answers else times <= uses  # type: ignore[return-value]


def counted(clock: Clock, count_use: CountUse | None) -> SignedLinks:
    return SignedLinks(KEYS, clock=clock, count_use=count_use)


async def test_link_is_used_up_and_head_is_no_use(clock: Clock) -> None:
    uses = Uses()
    links = counted(clock, uses)
    token = links.sign("/a", 60, LinkClaims(uses=2, id="twice"))
    granted = Grant(subject="twice")
    spent = Refusal(reason="the link 'twice' has no use left", status=403)
    clock.now = NOW + 0.5
    methods = ["HEAD", "GET", "HEAD", "GET", "GET", "HEAD"]
    verdicts = [await links.verify(asked("/a", token, method=method)) for method in methods]
    assert verdicts == [granted, granted, granted, granted, spent, granted]
    assert uses.asked == [("twice", 2, 60)] * 3


async def test_link_with_uses_is_given_an_id_of_its_own(clock: Clock) -> None:
    uses = Uses()
    links = counted(clock, uses)
    tokens = [links.sign("/a", 60, LinkClaims(uses=1)) for _ in range(2)]
    for token in tokens:
        assert isinstance(await links.verify(asked("/a", token)), Grant)
    assert len({link_id for link_id, _, _ in uses.asked}) == 2


@pytest.mark.parametrize("answer", [None, False, 0])
async def test_use_that_is_not_granted_is_refused(clock: Clock, answer: bool | int | None) -> None:
    links = counted(clock, Uses(answer))
    verdict = await links.verify(asked("/a", links.sign("/a", 60, LinkClaims(uses=9, id="x"))))
    unknown = Refusal(reason="the uses of the link 'x' cannot be counted now", status=503)
    spent = Refusal(reason="the link 'x' has no use left", status=403)
    assert verdict == (unknown if answer is None else spent)


async def test_uses_that_nobody_counts_are_refused(clock: Clock) -> None:
    links = counted(clock, None)
    verdict = await links.verify(asked("/a", links.sign("/a", 60, LinkClaims(uses=9))))
    assert verdict == Refusal(reason="links with a number of uses cannot be counted here", status=503)


async def test_request_that_is_refused_is_no_use(clock: Clock) -> None:
    uses = Uses()
    links = counted(clock, uses)
    token = links.sign("/a", 60, LinkClaims(uses=2, id="x", network="192.0.2.0/24"))
    verdicts = [
        await links.verify(asked("/b", token)),
        await links.verify(asked("/a", token, method="PUT")),
        await links.verify(asked("/a", token, client="203.0.113.9")),
        await links.verify(asked("/a", token[:-1] + "_")),
    ]
    clock.now = NOW + 60
    verdicts.append(await links.verify(asked("/a", token)))
    assert [type(verdict) for verdict in verdicts] == [Refusal] * 5
    assert uses.asked == []


# Ends before its time.


async def test_revoked_link_is_refused_and_others_stay(clock: Clock) -> None:
    links = SignedLinks(KEYS, clock=clock, is_revoked={"gone"}.__contains__)
    gone = Refusal(reason="the link 'gone' has been revoked", status=403)
    for claims in (LinkClaims(id="gone"), LinkClaims(id="gone", prefix="/")):
        assert await links.verify(asked("/a", links.sign("/a", 60, claims))) == gone
    assert await links.verify(asked("/a", links.sign("/a", 60, LinkClaims(id="kept")))) == Grant(
        subject="kept"
    )
    assert await links.verify(asked("/a", links.sign("/a", 60))) == Grant(subject="k1")


async def test_keys_are_rotated_without_a_gap(clock: Clock) -> None:
    before = SignedLinks({"k1": OLD_KEY}, clock=clock)
    meanwhile = SignedLinks({"k2": NEW_KEY, "k1": OLD_KEY}, clock=clock)
    after = SignedLinks({"k2": NEW_KEY}, clock=clock)
    old, new = before.sign("/a", 60), meanwhile.sign("/a", 60)
    assert await meanwhile.verify(asked("/a", old)) == Grant(subject="k1")
    assert await meanwhile.verify(asked("/a", new)) == Grant(subject="k2")
    assert await after.verify(asked("/a", new)) == Grant(subject="k2")
    unknown = Refusal(reason="the key 'k1' is not known", status=403)
    assert await after.verify(asked("/a", old)) == unknown


async def test_other_key_of_the_same_id_checks_nothing(links: SignedLinks, clock: Clock) -> None:
    other = SignedLinks({"k1": NEW_KEY}, clock=clock)
    assert await other.verify(asked("/a", links.sign("/a", 60))) == OTHER_PATH
