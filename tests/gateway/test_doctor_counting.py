"""The doctor asks the Redis of [limits], and says what it refuses."""

from collections.abc import Iterator

import pytest

from sluicegate.gateway.config import parse_config
from sluicegate.gateway.doctor import Shown, places, read_aims, secrets_of
from sluicegate.gateway.doctor.findings import Finding, Level, Section
from tests.servers.process import free_port
from tests.servers.redis import RedisServer, redis

from .config_texts import ROUTE


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis() as running:
        yield running


async def examined(storage: str) -> tuple[Section, str]:
    """What is found of the place that counts, and how all of it is shown."""
    text = f'[limits]\nstorage = "{storage}"\n[stores.s]\nurl = "memory://"\n{ROUTE}'
    config = parse_config(text, {})
    *_, place = places(config, read_aims(config, (), ()))
    section = await place.section()
    return section, Shown(unicode=True, secrets=secrets_of(config)).section(section)


def only(section: Section) -> Finding:
    (found,) = section.findings
    return found


async def test_redis_that_answers_is_well(server: RedisServer) -> None:
    section, _ = await examined(server.url)
    assert (section.title, only(section).level) == (f"limits (Redis at 127.0.0.1:{server.port})", Level.OK)


@pytest.mark.parametrize(
    ("user", "path", "words"),
    [
        pytest.param("nobody:very-secret@", "", "the user or the password", id="password"),
        pytest.param("", "/99999", "the command or the database", id="database"),
    ],
)
async def test_redis_that_refuses_says_what(user: str, path: str, words: str, server: RedisServer) -> None:
    section, shown = await examined(f"redis://{user}127.0.0.1:{server.port}{path}")
    assert (only(section).level, words in only(section).what) == (Level.PROBLEM, True)
    assert "very-secret" not in shown


async def test_redis_that_is_away_is_a_problem() -> None:
    section, _ = await examined(f"redis://127.0.0.1:{free_port()}")
    assert (only(section).level, "cannot be reached" in only(section).what) == (Level.PROBLEM, True)


def test_memory_is_no_place_to_ask() -> None:
    config = parse_config(f'[stores.s]\nurl = "memory://"\n{ROUTE}', {})
    titles = [place.title for place in places(config, read_aims(config, (), ()))]
    assert titles == ["store s (memory://)"]
