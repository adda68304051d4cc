"""Where an upstream may lead to: no address is connected to but those that the policy allows."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from sluicegate import HttpOptions, OpenRequest, open_http
from sluicegate.errors import BadAnswer, SourceError, Unavailable
from sluicegate.http.conditions import pinned_to
from sluicegate.http.ranges import FromTo, Span
from sluicegate.http.validators import ETag
from sluicegate.sources.connecting import GuardedResolver
from sluicegate.sources.http import MAX_REDIRECTS, HttpSource
from sluicegate.sources.options import BadOptions
from sluicegate.sources.redirects import Origin, Policy
from sluicegate.testing import assert_no_leak
from sluicegate.testing.certificates import server_tls
from tests.sources.raw_origin import RESET, Answer, RawOrigin, answer, raw_origin, served
from tests.sources.stores import content_of, found

CONTENT = bytes(range(100))
NAME = "cdn.example"
OUTSIDE = "127.0.0.2"
"""What stands for the internet here, because the options allow it; 127.0.0.1 stands for what is internal."""

ALLOWED: dict[str, Any] = {"allow_networks": (f"{OUTSIDE}/32",)}
SECRETS = {"Authorization": "Bearer secret-token", "X-Api-Key": "secret-key", "Accept": "secret/type"}


class Names(AbstractResolver):
    """A name server whose n-th answer is the n-th of `answers`, and all after the last one the last."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(host)
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        self.closed = True


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


@asynccontextmanager
async def at_one_port(*hosts: str, answers: Sequence[Answer]) -> AsyncIterator[list[RawOrigin]]:
    """An origin at each address, all at one port: nothing but the address tells which one is reached."""
    for _ in range(10):
        async with AsyncExitStack() as stack:
            origins = [await stack.enter_async_context(raw_origin(*answers, host=hosts[0]))]
            # The port may be taken at another address.
            with suppress(OSError):
                for host in hosts[1:]:
                    other = raw_origin((served(b"internal"),), host=host, port=origins[0].port)
                    origins.append(await stack.enter_async_context(other))
            if len(origins) == len(hosts):
                yield origins
                return
    pytest.skip(f"no port is free at all of {', '.join(hosts)}")


@asynccontextmanager
async def outside_and_inside(*answers: Answer) -> AsyncIterator[tuple[RawOrigin, RawOrigin]]:
    async with at_one_port(OUTSIDE, "127.0.0.1", answers=answers) as (outside, inside):
        yield outside, inside


def to(location: str, status: str = "302 Found") -> Answer:
    return (answer(status, location=location),)


def source_of(base: RawOrigin, names: AbstractResolver | None = None, **options: Any) -> HttpSource:
    patience = {"connect_timeout": 10.0, "read_timeout": 10.0, "max_connections": 8}
    return HttpSource(f"{base.url}/bucket", HttpOptions(**{**patience, **options}), resolver=names)


async def failure_of(source: HttpSource) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await source.open("key", OpenRequest())
    return caught.value


# What a name stands for.


async def test_imgproxy_4_0_12_address_that_is_checked_is_the_one_connected_to() -> None:
    # DNS rebinding: whoever looks up the name again to connect gets the address inside.
    async with outside_and_inside((served(b"content"),)) as (outside, inside):
        names = Names([OUTSIDE], ["127.0.0.1"])
        at = f"{NAME}:{outside.port}"
        async with (
            raw_origin(to(f"http://{at}/key")) as base,
            source_of(base, names, redirects=(at,), **ALLOWED) as source,
        ):
            for _ in range(2):
                assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert (names.asked, inside.connections) == ([NAME], 0)


async def test_imgproxy_4_0_12_name_that_turns_private_is_not_connected_to() -> None:
    async with outside_and_inside((served(b"content"),)) as (outside, inside):
        names = Names([OUTSIDE], ["127.0.0.1"])
        at = f"{NAME}:{outside.port}"
        async with raw_origin(to(f"http://{at}/key")) as base:
            async with source_of(base, names, redirects=(at,), **ALLOWED) as source:
                assert await content_of(await source.open("key", OpenRequest())) == b"content"
            async with source_of(base, names, redirects=(at,), **ALLOWED) as source:
                assert isinstance(await failure_of(source), BadAnswer)
        assert (names.asked, inside.connections) == ([NAME, NAME], 0)


async def test_addresses_that_are_not_allowed_are_left_out() -> None:
    async with outside_and_inside((served(b"content"),)) as (outside, inside):
        names = Names(["127.0.0.1", "::1", "10.0.0.5", OUTSIDE, "169.254.169.254"])
        at = f"{NAME}:{outside.port}"
        async with (
            raw_origin(to(f"http://{at}/key")) as base,
            source_of(base, names, redirects=(at,), **ALLOWED) as source,
        ):
            assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert (outside.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize(
    ("addresses", "shown"),
    [
        pytest.param(["10.0.0.5"], "10.0.0.5", id="private"),
        pytest.param(["169.254.169.254"], "169.254.169.254", id="metadata"),
        pytest.param(["127.0.0.1", "::1"], "127.0.0.1, ::1", id="loopback"),
        pytest.param(["::ffff:127.0.0.1"], "::ffff:127.0.0.1", id="mapped"),
        pytest.param(["64:ff9b::7f00:1"], "64:ff9b::7f00:1", id="nat64"),
        pytest.param(["fe80::1%lo"], "fe80::1%lo", id="scoped"),
        pytest.param(["0.0.0.0"], "0.0.0.0", id="unspecified"),
        pytest.param(["127.1"], "127.1", id="odd-form"),
        pytest.param(
            [f"10.0.0.{n}" for n in range(9)], "10.0.0.0, 10.0.0.1, 10.0.0.2, ...", id="more-than-are-shown"
        ),
    ],
)
async def test_imgproxy_3_15_0_name_of_special_addresses_is_refused(addresses: list[str], shown: str) -> None:
    async with outside_and_inside((served(b"content"),)) as (outside, inside):
        at = f"{NAME}:{outside.port}"
        async with (
            raw_origin(to(f"http://{at}/key")) as base,
            source_of(base, Names(addresses), redirects=(at,)) as source,
        ):
            refused = await failure_of(source)
        assert isinstance(refused, BadAnswer)
        assert str(refused) == (
            f"redirect to {at}, which resolves to {shown}: "
            "not a public address; allow_networks may name its network"
        )
        assert (outside.connections, inside.connections) == (0, 0)


async def test_name_without_an_address_is_unavailable() -> None:
    async with (
        raw_origin(to(f"http://{NAME}/key")) as base,
        source_of(base, Names([]), redirects=(NAME,)) as source,
    ):
        assert isinstance(await failure_of(source), Unavailable)


async def test_name_that_no_pattern_allows_is_not_even_looked_up() -> None:
    names = Names(["127.0.0.1"])
    async with (
        raw_origin(to("http://secret-in-a-name.evil.example/")) as base,
        source_of(base, names, redirects=(NAME,)) as source,
    ):
        assert "redirects may name its host" in str(await failure_of(source))
        assert (names.asked, len(base.requests)) == ([], 1)


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST"])
async def test_imgproxy_3_15_0_names_of_the_machine_itself_are_refused(host: str) -> None:
    async with raw_origin((served(b"internal"),)) as inside:
        async with (
            raw_origin(to(f"http://{host}:{inside.port}/key")) as base,
            source_of(base, redirects=(f"localhost:{inside.port}",)) as source,
        ):
            refused = await failure_of(source)
        # Not every system knows the name with a dot at its end.
        assert "not a public address" in str(refused) or isinstance(refused, Unavailable)
        assert inside.connections == 0


# Addresses that are no names: aiohttp asks no resolver for them.


@pytest.mark.parametrize(
    ("host", "pattern"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", id="loopback"),
        pytest.param("[::ffff:127.0.0.1]", "127.0.0.1", id="mapped"),
        pytest.param("[::ffff:7f00:1]", "[::ffff:127.0.0.1]", id="mapped-in-hex"),
        pytest.param("[0:0:0:0:0:ffff:7f00:0001]", "127.0.0.1", id="mapped-at-length"),
        pytest.param("[::1]", "[::1]", id="ipv6-loopback"),
        pytest.param("[::]", "[::]", id="ipv6-unspecified"),
        pytest.param("0.0.0.0", "0.0.0.0", id="unspecified"),
        pytest.param("169.254.169.254", "169.254.169.254", id="metadata"),
        pytest.param("%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1", "127.0.0.1", id="fullwidth-in-escapes"),
        pytest.param("\uff11\uff12\uff17.0.0.1", "127.0.0.1", id="fullwidth-digits"),
        pytest.param("\u2460\u2461\u2466.0.0.1", "127.0.0.1", id="circled-digits"),
        pytest.param("127\u30020\u30020\u30021", "127.0.0.1", id="ideographic-stops"),
        pytest.param("127.1", "127.0.0.1", id="two-parts"),
        pytest.param("2130706433", "127.0.0.1", id="one-number"),
        pytest.param("0", "0.0.0.0", id="zero"),
        pytest.param("0x7f.1", "127.0.0.1", id="hexadecimal"),
        pytest.param("0177.0.0.1", "127.0.0.1", id="octal"),
        pytest.param("127.0.0.1.", "127.0.0.1", id="final-dot"),
        pytest.param("[fe80::1%25lo]", "[fe80::1]", id="scoped"),
    ],
)
async def test_imgproxy_3_27_2_literal_addresses_are_checked_too(host: str, pattern: str) -> None:
    internal = [(served(b"internal"),)]
    async with at_one_port("127.0.0.1", "::1", answers=internal) as inside, raw_origin((b"",)) as base:
        port = inside[0].port
        # In bytes of UTF-8, which aiohttp reads as such.
        base.answers = [to(f"http://{host}:{port}/latest/meta-data/".encode().decode("latin-1"))]
        async with source_of(base, redirects=(f"{pattern}:{port}",)) as source:
            assert "redirect to" in str(await failure_of(source))
        assert [origin.connections for origin in (*inside, base)] == [0, 0, 1]


@pytest.mark.parametrize("host", ["0x7f.1", "0x7f000001", "127.1", "2130706433", "0", "0177.1"])
async def test_imgproxy_3_15_0_what_the_system_reads_as_an_address_is_checked(host: str) -> None:
    # Behind the check of literal addresses, and whatever a pattern may have let through.
    guard = GuardedResolver(Policy(own=Origin("http", "api.example", 80)))
    try:
        with pytest.raises((BadAnswer, OSError)):
            await guard.resolve(host, 80)
    finally:
        await guard.close()


async def test_literal_address_in_an_allowed_network_is_followed() -> None:
    async with outside_and_inside((served(b"content"),)) as (outside, _):
        at = f"{OUTSIDE}:{outside.port}"
        async with (
            raw_origin(to(f"http://{at}/key")) as base,
            source_of(base, redirects=(at,), **ALLOWED) as source,
        ):
            assert await content_of(await source.open("key", OpenRequest())) == b"content"


# The base address: the operator named it.


async def test_base_address_may_be_any_and_so_may_a_redirect_back_to_it() -> None:
    names = Names(["127.0.0.1"])
    async with raw_origin(to("/elsewhere"), (served(b"content"),)) as base:
        async with HttpSource(f"http://api.internal:{base.port}", resolver=names) as source:
            assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert names.asked == ["api.internal"]


async def test_other_port_of_the_base_host_is_another_origin() -> None:
    names = Names(["127.0.0.1"])
    async with raw_origin((served(b"internal"),)) as inside:
        at = f"api.internal:{inside.port}"
        async with raw_origin(to(f"http://{at}/key")) as base:
            for redirects in ((), (at,)):
                url, options = f"http://api.internal:{base.port}", HttpOptions(redirects=redirects)
                async with HttpSource(url, options, resolver=names) as source:
                    assert isinstance(await failure_of(source), BadAnswer)
        assert inside.connections == 0


async def test_public_only_holds_for_the_base_address() -> None:
    async with raw_origin((served(b"internal"),)) as base:
        url, options = f"http://api.internal:{base.port}", HttpOptions(public_only=True)
        async with HttpSource(url, options, resolver=Names(["127.0.0.1"])) as source:
            refused = await failure_of(source)
        assert isinstance(refused, Unavailable)
        assert str(refused) == (
            f"http://api.internal:{base.port} resolves to 127.0.0.1, and public_only is set: "
            "not a public address; allow_networks may name its network"
        )
        assert base.connections == 0


async def test_public_only_holds_for_a_redirect_back_to_the_base_address() -> None:
    # It leads to the same name, which another connection may look up anew.
    names = Names(["127.0.0.1"], ["10.0.0.5"])
    async with raw_origin((*to("/elsewhere"), RESET)) as base:
        url = f"http://api.internal:{base.port}"
        options = HttpOptions(public_only=True, allow_networks=("127.0.0.0/8",))
        async with HttpSource(url, options, resolver=names) as source:
            await failure_of(source)
        async with HttpSource(url, options, resolver=names) as source:
            assert "resolves to 10.0.0.5" in str(await failure_of(source))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.5", "2130706433", "127.1", "[::ffff:a00:5]"])
def test_public_only_refuses_a_base_address_that_is_not(host: str) -> None:
    with pytest.raises(BadOptions, match="public_only"):
        HttpSource(f"http://{host}/", HttpOptions(public_only=True))


async def test_public_only_with_an_allowed_network() -> None:
    async with (
        raw_origin((served(b"content"),)) as base,
        source_of(base, public_only=True, allow_networks=("127.0.0.0/8",)) as source,
    ):
        assert await content_of(await source.open("key", OpenRequest())) == b"content"


# What goes along.


@pytest.mark.parametrize("status", ["301 A", "302 B", "303 C", "307 D", "308 E"])
@pytest.mark.parametrize("head", [False, True], ids=["get", "head"])
async def test_rclone_go_2026_6188_credentials_stay_at_their_origin(status: str, head: bool) -> None:
    fields = (
        *(("cookie", "session=secret-cookie"), ("authorization", "Basic secret-user"), ("accept", "image/*")),
        *(("accept-language", "de"), ("x-forwarded-for", "secret-address"), ("referer", "http://secret/")),
    )
    request = OpenRequest(head=head, range=FromTo(10, 19), fields=fields)
    content = b"" if head else CONTENT[10:20]
    place = {"content_length": "10", "content_range": "bytes 10-19/100"}
    reply = answer("206 Partial Content", content, **place)
    async with outside_and_inside((reply,)) as (outside, _):
        at = f"{OUTSIDE}:{outside.port}"
        async with (
            raw_origin(to(f"http://{at}/there?signed=1", status)) as base,
            source_of(base, headers=SECRETS, redirects=(at,), **ALLOWED) as source,
        ):
            assert await content_of(await source.open("key", request)) == content
        assert (
            outside.requests[0].head
            == (
                f"{'HEAD' if head else 'GET'} /there?signed=1 HTTP/1.1\r\nHost: {at}\r\naccept: image/*\r\n"
                "accept-language: de\r\naccept-encoding: identity\r\nrange: bytes=10-19\r\n\r\n"
            ).encode()
        )
        assert base.requests[0].fields["authorization"] == "Bearer secret-token"
        assert b"session=secret-cookie" in base.requests[0].head


async def test_rclone_go_2026_6188_credentials_do_not_come_back_with_a_redirect_back() -> None:
    # Who has been elsewhere comes back with a path that another host chose.
    async with outside_and_inside((b"",)) as (outside, _):
        at = f"{OUTSIDE}:{outside.port}"
        async with raw_origin(to(f"http://{at}/there"), (served(b"content"),)) as base:
            outside.answers = [to(f"{base.url}/back")]
            async with source_of(base, headers=SECRETS, redirects=(at,), **ALLOWED) as source:
                outcome = await source.open("key", OpenRequest(fields=(("cookie", "secret=1"),)))
                assert await content_of(outcome) == b"content"
            assert [request.target for request in base.requests] == ["/bucket/key", "/back"]
            assert [b"secret" in request.head for request in base.requests] == [True, False]
            assert b"secret" not in outside.requests[0].head


async def test_credentials_are_sent_again_with_the_next_request() -> None:
    async with outside_and_inside((served(b"content"),)) as (outside, _):
        at = f"{OUTSIDE}:{outside.port}"
        async with (
            raw_origin(to(f"http://{at}/there")) as base,
            source_of(base, headers=SECRETS, redirects=(at,), **ALLOWED) as source,
        ):
            for _ in range(2):
                assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert [b"secret" in request.head for request in base.requests] == [True, True]
        assert [b"secret" in request.head for request in outside.requests] == [False, False]


@pytest.mark.parametrize("user", ["user:secret@", "user@", ":secret@", ":@"])
async def test_redirect_that_names_a_user_is_refused(user: str) -> None:
    async with raw_origin((b"",)) as base, source_of(base) as source:
        base.answers = [to(f"http://{user}127.0.0.1:{base.port}/there")]
        refused = await failure_of(source)
        assert isinstance(refused, BadAnswer)
        assert "secret" not in str(refused)
        assert len(base.requests) == 1


@pytest.mark.parametrize(
    "query",
    ["sig=a%2Fb%3D%2B%7E~&c=%41%20x%3a", "a+b=%2b", "X-Amz-Credential=K%2F20260101%2Fus-east-1", "?a=?"],
)
async def test_signed_query_arrives_as_it_was_written(query: str) -> None:
    async with raw_origin(to(f"/there?{query}#part"), (served(b"content"),)) as base:
        async with source_of(base) as source:
            assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert base.requests[1].target == f"/there?{query}"


# The chain.


async def test_https_is_never_left_for_http() -> None:
    async with AsyncExitStack() as stack:
        context, authority = server_tls("good", stack)  # type: ignore[arg-type]
        outside, _ = await stack.enter_async_context(outside_and_inside((served(b"content"),)))
        at = f"{OUTSIDE}:{outside.port}"
        base = await stack.enter_async_context(raw_origin(to(f"http://{at}/key"), tls=context))
        options = {"redirects": (at,), "tls_verify": str(authority), **ALLOWED}
        source = await stack.enter_async_context(source_of(base, **options))
        assert "redirect from https to http" in str(await failure_of(source))
        assert outside.connections == 0


async def test_chain_over_hosts_has_its_end_too() -> None:
    async with outside_and_inside((b"",)) as (outside, _):
        at = f"{OUTSIDE}:{outside.port}"
        async with raw_origin(to(f"http://{at}/there")) as base:
            outside.answers = [to(f"{base.url}/back")]
            async with source_of(base, redirects=(at,), **ALLOWED) as source:
                assert f"more than {MAX_REDIRECTS} redirects" in str(await failure_of(source))
            assert len(base.requests) + len(outside.requests) == MAX_REDIRECTS + 1


async def test_place_that_is_allowed_allows_no_third_one() -> None:
    async with outside_and_inside((b"",)) as (outside, inside):
        at = f"{OUTSIDE}:{outside.port}"
        outside.answers = [to(f"http://127.0.0.1:{inside.port}/key")]
        async with (
            raw_origin(to(f"http://{at}/there")) as base,
            source_of(base, redirects=(at,), **ALLOWED) as source,
        ):
            assert isinstance(await failure_of(source), BadAnswer)
        assert (outside.connections, inside.connections) == (1, 0)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_origin((served(b"by a proxy"),)) as proxy, raw_origin((served(b"content"),)) as base:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with source_of(base) as source:
            assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert proxy.connections == 0


# Ranges and resumes: every request begins at the base address.


async def test_range_is_served_through_a_redirect() -> None:
    reply = answer("206 Partial Content", CONTENT[10:20], content_range="bytes 10-19/100", etag='"v1"')
    async with outside_and_inside((reply,)) as (outside, _):
        at = f"{OUTSIDE}:{outside.port}"
        async with (
            raw_origin(to(f"http://{at}/there")) as base,
            source_of(base, redirects=(at,), **ALLOWED) as source,
        ):
            pinned = OpenRequest(range=FromTo(10, 19), conditions=pinned_to(ETag("v1")))
            object_ = found(await source.open("key", pinned))
            assert (await content_of(object_), object_.span) == (CONTENT[10:20], Span(10, 20))
        for request in (base.requests[0], outside.requests[0]):
            assert (request.fields["range"], request.fields["if-match"]) == ("bytes=10-19", '"v1"')


async def test_body_that_breaks_behind_a_redirect_is_resumed() -> None:
    broken = answer("200 OK", CONTENT[:40], content_length="100", etag='"v1"', accept_ranges="bytes")
    rest = answer("206 Partial Content", CONTENT[40:], content_range="bytes 40-99/100", etag='"v1"')
    async with outside_and_inside((broken, RESET), (rest,)) as (outside, _):
        at = f"{OUTSIDE}:{outside.port}"
        options = HttpOptions(redirects=(at,), allow_networks=(OUTSIDE,))
        async with (
            raw_origin(to(f"http://{at}/there")) as base,
            open_http(f"{base.url}/bucket", options) as source,
        ):
            assert await content_of(await source.open("key", OpenRequest())) == CONTENT
        assert [request.target for request in base.requests] == ["/bucket/key"] * 2
        resumed = outside.requests[1].fields
        assert (resumed["range"], resumed["if-match"]) == ("bytes=40-99", '"v1"')


# Who opens closes.


async def test_refused_redirects_leave_nothing_behind() -> None:
    async with raw_origin(to(f"http://{NAME}/key")) as base:
        async with assert_no_leak(), source_of(base, Names(["10.0.0.5"]), redirects=(NAME,)) as source:
            await asyncio.gather(*(failure_of(source) for _ in range(5)))
        await base.quiet()


async def test_resolver_that_was_given_is_not_closed() -> None:
    names = Names(["127.0.0.1"])
    async with raw_origin((served(b"content"),)) as base:
        for _ in range(2):
            async with HttpSource(f"http://api.internal:{base.port}", resolver=names) as source:
                assert await content_of(await source.open("key", OpenRequest())) == b"content"
    assert not names.closed
