"""What it takes to find out who may read and how much, and to count what happened: microseconds of each."""

import asyncio
import base64
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import ip_address
from pathlib import Path

from sluicegate import __version__
from sluicegate.access.api_keys import ApiKeys, hash_key, new_key
from sluicegate.access.base import AccessRequest, Grant, Verifier
from sluicegate.access.basic import BasicUsers, hash_password
from sluicegate.access.bearer import BearerTokens
from sluicegate.access.bearer_options import BearerOptions
from sluicegate.access.forward import ForwardAuth, ForwardOptions
from sluicegate.access.key_sets import FileKeys
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from sluicegate.access.rates import Rates
from sluicegate.gateway.config import LimitsConfig
from sluicegate.gateway.gates import Gates, Places, ProcessRates
from sluicegate.gateway.metrics import Metrics
from sluicegate.http.paths import canonical_path, canonical_segments
from tests.gateway.records import record
from tests.servers.oidc import Signer

from .configurations import KEY, KEY_ID, MEMORY, MOST_REQUESTS, MOST_TRANSFERS
from .measure import WrongAnswer
from .origins import PATH

ISSUER, AUDIENCE = "https://login.example.com/", "files"
PASSWORD = "correct horse battery staple"
CLIENT = ip_address("192.0.2.7")
ROUTE = "/tasks/{task_id:int}/image"
SEGMENTS = canonical_segments(PATH.encode())
SIGNED_LINK = "signed link"

HEADERS = (
    (b"host", b"files.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"),
    (b"accept-language", b"en-GB,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"referer", b"https://app.example.com/tasks/1"),
    (b"sec-fetch-dest", b"image"),
    (b"sec-fetch-mode", b"no-cors"),
    (b"sec-fetch-site", b"same-site"),
)
"""What a browser sends: each check looks through it."""

RECORD = record(route=ROUTE, key="test/1/image.jpg")

Step = Callable[[], Awaitable[object]]
"""Does once what is measured."""

Prepare = Callable[[AsyncExitStack], Awaitable[Step]]
"""Makes a step; what it needs is open as long as the stack is."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds of one check: the median, the lowest and the highest of the rounds."""

    name: str
    median: float
    lowest: float
    highest: float


async def measured(times: int, rounds: int) -> list[Cost]:
    """Do each check so many times in a row, in turns with the others; raises `WrongAnswer` if one refuses."""
    prepared = _prepared(times)
    found: dict[str, list[float]] = {name: [] for name in prepared}
    for _ in range(rounds):
        for name, prepare in prepared.items():
            # Made anew for each round, so that a token that one has seen is new to the next.
            async with AsyncExitStack() as stack:
                step = await prepare(stack)
                found[name].append(await _microseconds(step, times))
    return [Cost(name, statistics.median(own), min(own), max(own)) for name, own in found.items()]


async def _microseconds(step: Step, times: int) -> float:
    # CPU, not the clock: none of them waits, and others on the machine are not to be counted.
    began = time.thread_time()
    for _ in range(times):
        await step()
    return (time.thread_time() - began) / times * 1e6


def scope(query: str = "", *more: tuple[bytes, bytes]) -> dict[str, object]:
    """Return a browser's request as far as checks look at it, with more fields."""
    return {"method": "GET", "query_string": query.encode(), "headers": [*HEADERS, *more]}


def asking(verifier: Verifier, asked: dict[str, object]) -> Step:
    """Return one check of a routed request, from the canonical path to the verdict."""

    async def step() -> None:
        verdict = await verifier.verify(AccessRequest.of(asked, canonical_path(SEGMENTS), CLIENT))
        if not isinstance(verdict, Grant):
            raise WrongAnswer(f"{type(verifier).__name__} refused: {verdict.reason}")

    return step


async def _link(stack: AsyncExitStack, claims: LinkClaims | None = None) -> Step:
    links = SignedLinks({KEY_ID: KEY})
    query = links.link(PATH, 3600, claims).partition("?")[2]
    return asking(links, scope(query))


async def _api_key(stack: AsyncExitStack) -> Step:
    key = new_key()
    return asking(ApiKeys({"acme": [hash_key(key)]}, "api"), scope("", (b"x-api-key", key.encode())))


async def _basic(stack: AsyncExitStack) -> Step:
    users = await stack.enter_async_context(BasicUsers({"alice": hash_password(PASSWORD)}, "files"))
    shown = b"Basic " + base64.b64encode(f"alice:{PASSWORD}".encode())
    return await _asked_before(asking(users, scope("", (b"authorization", shown))))


async def _jwt_cached(stack: AsyncExitStack) -> Step:
    (token,) = _tokens(1)
    return await _asked_before(asking(await _bearer(stack), _with_token(token)))


async def _jwt_uncached(tokens: Sequence[str], stack: AsyncExitStack) -> Step:
    bearer = await _bearer(stack)
    steps = iter([asking(bearer, _with_token(token)) for token in tokens])

    async def step() -> None:
        await next(steps)()

    return step


async def _forward(stack: AsyncExitStack) -> Step:
    url = await stack.enter_async_context(_willing_service())
    forward = await stack.enter_async_context(ForwardAuth(ForwardOptions(url=url, cache_seconds=600)))
    return await _asked_before(asking(forward, scope("", (b"cookie", b"session=0123456789abcdef"))))


async def _limits(stack: AsyncExitStack) -> Step:
    """What the gateway does with a request for its limits, but for the fields that say what is left."""
    counting = await stack.enter_async_context(Rates(MEMORY))
    rates = ProcessRates(of_clients=counting, of_all=counting)
    gate, client = Gates().of_route(ROUTE), str(CLIENT)
    gate.limit(LimitsConfig(client_transfers=MOST_TRANSFERS, client_requests=MOST_REQUESTS))

    async def step() -> None:
        (allowance,) = await gate.count(rates, client)
        with Places() as places:
            refused = gate.enter(client, places)
        if refused is not None or not allowance.allowed:
            raise WrongAnswer(f"a limit of {MOST_REQUESTS} has refused: {allowance}")

    return step


async def _numbers(stack: AsyncExitStack) -> Step:
    metrics = Metrics(__version__)
    metrics.declare(ROUTE, "images")

    async def step() -> None:
        metrics.begin(ROUTE)
        metrics(RECORD)
        metrics.end(ROUTE)

    return step


def _prepared(times: int) -> dict[str, Prepare]:
    return {
        SIGNED_LINK: _link,
        "signed link, prefix and network": partial(
            _link, claims=LinkClaims(prefix="/tasks/", network="192.0.2.0/24")
        ),
        "JWT, RS256, not seen before": partial(_jwt_uncached, _tokens(times)),
        "JWT, seen before": _jwt_cached,
        "API key": _api_key,
        "Basic, remembered": _basic,
        "forward, cached": _forward,
        "limits, in memory": _limits,
        "metrics of a transfer": _numbers,
    }


@cache
def _signer() -> Signer:
    return Signer("RS256")


async def _asked_before(step: Step) -> Step:
    await step()
    return step


async def _bearer(stack: AsyncExitStack) -> BearerTokens:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    key_file = folder / "keys.json"
    key_file.write_text(json.dumps({"keys": [_signer().public()]}))
    options = BearerOptions(issuer=ISSUER, audience=(AUDIENCE,), algorithms=("RS256",))
    return await stack.enter_async_context(BearerTokens(options, FileKeys(key_file)))


def _with_token(token: str) -> dict[str, object]:
    return scope("", (b"authorization", f"Bearer {token}".encode()))


def _tokens(count: int) -> list[str]:
    now = int(time.time())
    header = {"alg": "RS256", "kid": _signer().kid, "typ": "JWT"}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 3600, "scope": "read"}
    return [
        _signer().sign(json.dumps({**claims, "sub": f"user-{number}"}).encode(), header)
        for number in range(count)
    ]


@asynccontextmanager
async def _willing_service() -> AsyncIterator[str]:
    """A service that grants what it is asked, once on each connection."""

    async def grant(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(grant, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/may-read"
