"""Requests a second: in memory, in a real Redis, and without it, where the operator's word counts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import redis.exceptions
from limits.aio.storage import RedisStorage

from sluicegate.access.circuit import LOG_SECONDS, RETRY_SECONDS, Circuit
from sluicegate.access.counters import Counters, Uncounted
from sluicegate.access.rate_limits import BadRate, RateLimit
from sluicegate.access.rates import OnFailure, Rates
from sluicegate.errors import BadFieldValue
from sluicegate.http.rate_fields import Allowance, Policy
from tests.conftest import started
from tests.servers.process import free_port
from tests.servers.redis import RedisServer
from tests.servers.redis import redis as run_redis

FIVE = RateLimit("5/minute")
MANY = RateLimit("1000000/hour")
PATIENT_SECONDS = 5.0
"""For tests of what Redis says, on a machine that is busy."""


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with started(run_redis()) as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest) -> str | Counters:
    if request.param == "memory":
        # No window ends while a test counts in it.
        return Counters(lambda: 36_000.0)
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """One that no other test counts."""
    return str(request.node.name)


async def verdicts(rates: Rates, limit: RateLimit, key: str, times: int) -> list[bool]:
    return [(await rates.check(limit, key)).allowed for _ in range(times)]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await condition():
            await asyncio.sleep(0.01)


# What is counted, wherever it is.


async def test_requests_are_allowed_up_to_the_limit_and_each_key_has_its_own(
    storage: str | Counters, key: str
) -> None:
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        assert await verdicts(rates, FIVE, key, 7) == [True] * 5 + [False] * 2
        assert await verdicts(rates, FIVE, f"{key}-other", 1) == [True]


async def test_allowance_says_what_is_left_and_for_how_long(storage: str | Counters, key: str) -> None:
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        said = [await rates.check(FIVE, key) for _ in range(6)]
    assert [(one.remaining, one.limit, one.is_away) for one in said] == [
        (left, 5, False) for left in (4, 3, 2, 1, 0, 0)
    ]
    assert all(0 < one.reset_seconds <= 60 for one in said)
    assert said[-1].status == 429


async def test_shortest_window_refuses_first_and_costs_the_longer_ones_nothing(
    storage: str | Counters, key: str
) -> None:
    both = RateLimit("10/hour; 3/minute", name="images")
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        assert await verdicts(rates, both, key, 20) == [True] * 3 + [False] * 17
        refused = await rates.check(both, key)
        hour = await rates.check(RateLimit("10/hour"), key)
    assert refused.policy == Policy("images-60s", 3, 60)
    assert hour.remaining == 6


async def test_window_with_the_least_left_is_the_one_that_is_told(storage: str | Counters, key: str) -> None:
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        told = await rates.check(RateLimit("50/minute; 20/hour"), key)
    assert (told.policy.name, told.remaining) == ("default-3600s", 19)


async def test_what_is_left_is_not_asked_for_if_nobody_wants_to_know(
    storage: str | Counters, key: str
) -> None:
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS, tell_remaining=False) as rates:
        said = [await rates.check(FIVE, key) for _ in range(6)]
    assert [one.remaining for one in said] == [None] * 5 + [0]
    assert said[-1].reset_seconds > 0


async def test_many_at_once_are_counted_one_by_one(storage: str | Counters, key: str) -> None:
    limit = RateLimit("100/hour")
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        said = await asyncio.gather(*(rates.check(limit, key) for _ in range(300)))
    assert sum(one.allowed for one in said) == 100


@pytest.mark.parametrize(
    "odd",
    ["", " ", "\r\nSET a b\r\n", "{a}", "ä\ud800", "x" * 100_000, "a/5/1/minute", "*", "\0"],
    ids=["empty", "space", "commands", "braces", "surrogate", "long", "like-a-window", "star", "nul"],
)
async def test_whatever_a_key_holds_it_is_a_key(storage: str | Counters, key: str, odd: str) -> None:
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        assert await verdicts(rates, FIVE, f"{key}{odd}", 6) == [True] * 5 + [False]
        assert await verdicts(rates, FIVE, f"{key}{odd}-", 1) == [True]


async def test_link_is_used_as_often_as_it_may_be(storage: str | Counters, key: str) -> None:
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        uses = await asyncio.gather(*(rates.use(key, 2, 3600.0) for _ in range(20)))
        assert sum(uses) == 2
        assert await rates.use(f"{key}-other", 1, 0.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.01])
async def test_use_is_remembered_for_a_second_at_least(
    storage: str | Counters, key: str, seconds: float
) -> None:
    async with Rates(storage, timeout_seconds=PATIENT_SECONDS) as rates:
        # It is a second of Redis's own, which a machine that is busy may take between two of the uses.
        tries = [
            sum(await asyncio.gather(*(rates.use(f"{key}-{turn}", 1, seconds) for _ in range(3))))
            for turn in range(5)
        ]
    assert min(tries) == 1


@asynccontextmanager
async def held_back(url: str) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """A Redis whose answers wait for the second event; the first is set when it has been asked."""
    asked, released = asyncio.Event(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)

        async def hand_on() -> None:
            while content := await reader.read(65536):
                asked.set()
                ours.write(content)
            ours.close()

        async def hand_back() -> None:
            while content := await theirs.read(65536):
                await released.wait()
                writer.write(content)
            writer.close()

        await asyncio.gather(hand_on(), hand_back())

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked, released


SEVERAL = RateLimit("50/minute; 500/hour; 5000/day")


async def test_who_leaves_is_counted_by_every_window(redis_server: RedisServer, key: str) -> None:
    async with (
        held_back(redis_server.url) as (url, asked, released),
        Rates(url, timeout_seconds=PATIENT_SECONDS) as rates,
    ):
        check = asyncio.create_task(rates.check(SEVERAL, key))
        await asked.wait()
        check.cancel()
        await asyncio.wait((check,))
        released.set()
    # It has been closed, for which the question was waited for.
    async with Rates(redis_server.url, timeout_seconds=PATIENT_SECONDS) as rates:
        left = [(await rates.check(RateLimit(one), key)).remaining for one in SEVERAL.text.split("; ")]
    assert left == [48, 498, 4998]


async def test_check_that_goes_on_while_it_is_closed_has_its_answer(
    redis_server: RedisServer, key: str
) -> None:
    async with held_back(redis_server.url) as (url, asked, released):
        async with Rates(url, timeout_seconds=PATIENT_SECONDS) as rates:
            check = asyncio.create_task(rates.check(SEVERAL, key))
            await asked.wait()
            asyncio.get_running_loop().call_later(0.05, released.set)
        assert (await check).remaining == 49


async def test_processes_share_what_redis_counts(redis_server: RedisServer, key: str) -> None:
    one, other = (Rates(redis_server.url, timeout_seconds=PATIENT_SECONDS) for _ in range(2))
    async with one, other:
        assert await verdicts(one, FIVE, key, 3) == [True] * 3
        assert await verdicts(other, FIVE, key, 3) == [True, True, False]
        assert await one.use(key, 1, 60.0)
        assert not await other.use(key, 1, 60.0)


async def test_namespaces_of_one_redis_have_counts_of_their_own(redis_server: RedisServer, key: str) -> None:
    one, other = (
        Rates(redis_server.url, timeout_seconds=PATIENT_SECONDS, namespace=name) for name in ("one", "two:b")
    )
    async with one, other:
        assert await verdicts(one, FIVE, key, 6) == [True] * 5 + [False]
        assert await verdicts(other, FIVE, key, 6) == [True] * 5 + [False]
        assert await one.use(key, 1, 60.0)
        assert await other.use(key, 1, 60.0)
        assert not await other.use(key, 1, 60.0)


# Without Redis.


@pytest.mark.parametrize("on_failure", ["allow", "deny"])
async def test_redis_stopped_and_started_under_load(
    on_failure: OnFailure, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sluicegate")
    with started(run_redis()) as server:
        # A Redis that is gone refuses connections at once; one that is slow for a moment is not gone.
        patient = Rates(server.url, on_failure=on_failure, timeout_seconds=PATIENT_SECONDS)
        async with patient as rates, load(rates, key) as said:
            await until(lambda: counted(said))
            await asyncio.to_thread(server.stop)
            said.clear()
            await until(lambda: decided_without_redis(said))
            assert {one.allowed for one in said if one.is_away} == {on_failure == "allow"}
            with pytest.raises(Uncounted):
                await rates.use(key, 1000, 60.0)
            await asyncio.to_thread(server.start)
            await until(lambda: back(rates))
            said.clear()
            await until(lambda: counted(said))
            assert not any(one.is_away for one in said)
    verdict = "allowed" if on_failure == "allow" else "denied"
    about = f"Redis at 127.0.0.1:{server.port}"
    away, again = [record.getMessage() for record in caplog.records]
    assert away.startswith(f"{about} gave no answer (")
    assert away.endswith(f": requests are {verdict} uncounted, and links with a number of uses refused")
    assert again == f"{about} answers again: requests are counted"


async def test_redis_that_refuses_is_not_said_to_be_silent(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = redis_server.url.replace("//", "//nobody:very-secret@")
    async with Rates(url, timeout_seconds=PATIENT_SECONDS) as rates:
        assert (await rates.check(MANY, "refused")).is_away
    (said,) = [record.getMessage() for record in caplog.records if "Redis at" in record.getMessage()]
    assert said.startswith(f"Redis at 127.0.0.1:{redis_server.port} refused to count (AuthenticationError): ")


@asynccontextmanager
async def load(rates: Rates, key: str) -> AsyncIterator[list[Allowance]]:
    """Ten who ask one time after the other, until the block ends; what they were told."""
    said: list[Allowance] = []

    async def ask() -> None:
        while True:
            said.append(await rates.check(MANY, key))
            # Without Redis nothing else would wait.
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask()) for _ in range(10)]
        yield said
        for task in tasks:
            task.cancel()


async def counted(said: list[Allowance]) -> bool:
    return len({one.remaining for one in said if not one.is_away}) > 100


async def decided_without_redis(said: list[Allowance]) -> bool:
    return sum(one.is_away for one in said) > 1000


async def back(rates: Rates) -> bool:
    return not rates.is_away


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter], list[bool]]]:
    """Accepts connections and never says a word: its address, its connections, and how each one ended."""
    writers: list[asyncio.StreamWriter] = []
    ended: list[bool] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while await reader.read(65_536):
                pass
        finally:
            ended.append(True)
            writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", free_port())
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"redis://user:hunter2@127.0.0.1:{port}", writers, ended


@pytest.mark.parametrize("on_failure", ["allow", "deny"])
async def test_redis_that_hangs_is_waited_for_once_and_not_by_each(
    on_failure: OnFailure, caplog: pytest.LogCaptureFixture
) -> None:
    async with silent_server() as (url, writers, ended):
        async with Rates(url, on_failure=on_failure, timeout_seconds=0.05) as rates:
            first = await rates.check(FIVE, "a")
            assert (first.allowed, first.is_away, first.remaining) == (on_failure == "allow", True, None)
            assert first.status == 503
            # Far more than could each wait within the time of a test.
            said = await asyncio.gather(*(rates.check(FIVE, "a") for _ in range(5000)))
            assert set(said) == {first}
            assert len(writers) <= 3
        await until(lambda: all_ended(writers, ended))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hunter2" not in caplog.text


async def test_check_that_is_cancelled_leaves_no_connection() -> None:
    async with silent_server() as (url, writers, ended):
        async with Rates(url, timeout_seconds=PATIENT_SECONDS) as rates:
            asking = asyncio.create_task(rates.check(FIVE, "a"))
            await until(lambda: any_of(writers))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await until(lambda: all_ended(writers, ended))


async def test_cancelled_checks_cost_no_connection_and_nobody_elses_answer(
    redis_server: RedisServer, key: str
) -> None:
    async with Rates(redis_server.url, timeout_seconds=PATIENT_SECONDS) as rates:
        for turns in range(200):
            asking = [asyncio.create_task(rates.check(MANY, key)) for _ in range(40)]
            for _ in range(turns % 40):
                await asyncio.sleep(0)
            for task in asking:
                task.cancel()
            # Those that do not end would be here for ever.
            async with asyncio.timeout(30):
                await asyncio.wait(asking)
        said = await asyncio.gather(*(rates.check(MANY, key) for _ in range(100)))
    assert not any(one.is_away for one in said)


async def any_of(writers: list[asyncio.StreamWriter]) -> bool:
    return bool(writers)


async def all_ended(writers: list[asyncio.StreamWriter], ended: list[bool]) -> bool:
    return len(ended) == len(writers)


async def test_nobody_listening_is_no_redis() -> None:
    async with Rates(f"redis://127.0.0.1:{free_port()}", on_failure="deny") as rates:
        said = await rates.check(FIVE, "a")
        assert (said.allowed, said.is_away, rates.is_away) == (False, True, True)


def test_circuit_asks_once_in_a_while_and_tells_the_log_less_often() -> None:
    circuit = Circuit()
    assert circuit.may_ask(0.0)
    assert circuit.open(0.0)
    asked, told = [], []
    for tick in range(1, 251):
        now = tick / 10
        if circuit.may_ask(now):
            asked.append(now)
            told += [now] if circuit.open(now) else []
    assert asked == [float(second) for second in range(1, 26)]
    assert told == [10.0, 20.0]
    assert (RETRY_SECONDS, LOG_SECONDS) == (1.0, 10.0)
    assert circuit.close()
    assert circuit.may_ask(25.0)
    # It comes and goes: the log has heard of that, and is told neither.
    assert not circuit.open(25.1)
    assert not circuit.close()


def test_every_failure_of_the_client_library_is_an_answer_that_did_not_come() -> None:
    caught = RedisStorage("redis://127.0.0.1:1", implementation="redispy").base_exceptions
    others = {
        name
        for name, found in vars(redis.exceptions).items()
        if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, caught)
    }
    # Of clusters, pipelines, forks and settings, none of which there is here.
    assert others == {
        "ChildDeadlockedError",
        "CrossSlotTransactionError",
        "IncorrectPolicyType",
        "InvalidPipelineStack",
        "RedisClusterException",
        "SlotNotCoveredError",
    }


# How limits are written.


@pytest.mark.parametrize(
    ("text", "policies"),
    [
        ("10/second", [Policy("default", 10, 1)]),
        ("100 per 5 minutes", [Policy("default", 100, 300)]),
        ("1000/hour; 10/second", [Policy("default-1s", 10, 1), Policy("default-3600s", 1000, 3600)]),
    ],
)
def test_limit_is_read(text: str, policies: list[Policy]) -> None:
    assert list(RateLimit(text).policies) == policies


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "got ''"),
        ("10", "got '10'"),
        ("10/fortnight", "got '10/fortnight'"),
        ("-1/second", "got '-1/second'"),
        ("0/second", "at least 1 request, got '0/second'"),
        ("1/second; 2/seconds", "one number for each time"),
        ("1/second; 2/minute; 3/hour; 4/day; 5/month", "at most 4 windows, got 5"),
    ],
)
def test_limit_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadRate, match=says):
        RateLimit(text)


def test_name_that_no_field_can_say_is_refused() -> None:
    with pytest.raises(BadFieldValue):
        RateLimit("1/second", name='a"b')


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://",
        "http://user:hunter2@host",
        "redis://user:hunter2@host:port",
        "redis://user:hunter2@host:99999",
        "memory",
        "redis://user:hunter2@host/cache",
        "redis://host/1/2",
        "redis://user:hunter2/3@host",
    ],
)
def test_place_that_cannot_count_is_refused_and_its_password_not_told(url: str) -> None:
    with pytest.raises(BadRate) as refused:
        Rates(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("namespace", ["", "a b", "a\n", "é", "a" * 65])
def test_namespace_that_is_no_plain_word_is_refused(namespace: str) -> None:
    with pytest.raises(BadRate, match="namespace is 1 to 64"):
        Rates(namespace=namespace)


async def test_setting_of_redis_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(BadRate, match="setting that cannot be used"):
        await Rates("redis://user:hunter2@host/0?socket_timeout=soon").__aenter__()


async def test_rates_are_entered_before_they_are_asked() -> None:
    with pytest.raises(RuntimeError, match="entered before"):
        await Rates().check(FIVE, "a")


@pytest.mark.parametrize("seconds", [0, -1, 61])
def test_timeout_that_cannot_be_is_refused(seconds: float) -> None:
    with pytest.raises(BadRate, match="timeout_seconds"):
        Rates(timeout_seconds=seconds)
