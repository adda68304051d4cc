"""Failures before the first byte are problem details that say nothing of the origin; one table."""

import json
import uuid

import pytest

from .apps import BUCKET
from .conftest import Server
from .origin import SECRET
from .raw_client import Answer

PROBLEMS = {
    "missing": (404, "Not found"),
    "bad-key": (404, "Not found"),
    "denied": (404, "Not found"),
    "unavailable": (502, "The origin is unavailable"),
    "bad-answer": (502, "The origin gave a bad answer"),
    "throttled": (503, "Busy, try again later"),
    "throttled-for": (503, "Busy, try again later"),
    "timeout": (504, "The origin did not answer in time"),
    "broken": (502, "The origin broke off"),
    # Of the body, before its first byte is out.
    "fail-first": (502, "The origin broke off"),
    "empty": (502, "The origin broke off"),
    "long-at-once": (502, "The origin broke off"),
}


def _check_problem(answer: Answer, status: int, title: str, *, head: bool = False) -> None:
    assert (answer.status, answer.complete) == (status, True)
    assert answer.get("content-type") == "application/problem+json"
    assert answer.get("cache-control") == "no-store"
    if not head:
        request_id = answer.get("x-request-id")
        assert json.loads(answer.content) == {"title": title, "status": status, "request_id": request_id}
    raw = answer.content + repr(answer.head).encode()
    assert SECRET.encode() not in raw
    assert BUCKET.encode() not in raw


@pytest.mark.parametrize("name", PROBLEMS)
async def test_failure_is_a_problem_that_names_no_cause(server: Server, name: str) -> None:
    answer = await server.fetch(f"/scripted/{name}?id={uuid.uuid4().hex}")
    _check_problem(answer, *PROBLEMS[name])


@pytest.mark.parametrize("name", ["missing", "unavailable", "throttled"])
async def test_failure_of_a_head_has_no_content(server: Server, name: str) -> None:
    answer = await server.fetch(f"/scripted/{name}?id={uuid.uuid4().hex}", "HEAD")
    _check_problem(answer, *PROBLEMS[name], head=True)


async def test_denial_is_told_where_the_route_says_so(server: Server) -> None:
    answer = await server.fetch(f"/scripted/denied?id={uuid.uuid4().hex}&denied=403")
    _check_problem(answer, 403, "Forbidden")


@pytest.mark.parametrize(("name", "seconds"), [("throttled", "1"), ("throttled-for", "7")])
async def test_throttling_names_a_time_to_wait(server: Server, name: str, seconds: str) -> None:
    answer = await server.fetch(f"/scripted/{name}?id={uuid.uuid4().hex}")
    assert answer.get("retry-after") == seconds


async def test_bug_is_the_frameworks_to_answer(server: Server) -> None:
    answer = await server.fetch(f"/scripted/bug?id={uuid.uuid4().hex}")
    assert (answer.status, answer.complete, SECRET.encode() in answer.content) == (500, True, False)


async def test_clients_request_id_is_repeated_if_it_is_harmless(server: Server) -> None:
    path = f"/scripted/missing?id={uuid.uuid4().hex}"
    answer = await server.fetch(path, x_request_id="abc-123")
    assert (answer.get("x-request-id"), json.loads(answer.content)["request_id"]) == ("abc-123", "abc-123")
    answer = await server.fetch(path, x_request_id="a b<script>")
    assert answer.get("x-request-id") != "a b<script>"


# The same of real clients, against an origin that answers so.

ORIGINS = {
    "unavailable": 502,
    "slow-down": 503,
    "denied": 404,
    "missing": 404,
    "garbage": 502,
    "no-content": 502,
}
CLIENTS = ("obstore", "aiobotocore", "botocore")


@pytest.mark.parametrize("client", [*(f"origin-{name}" for name in CLIENTS), "origin-http"])
@pytest.mark.parametrize("behaviour", ORIGINS)
async def test_failure_of_a_real_origin_has_its_status(server: Server, client: str, behaviour: str) -> None:
    answer = await server.fetch(f"/starlette/{client}/{behaviour}/{uuid.uuid4().hex}")
    assert (answer.status, answer.complete) == (ORIGINS[behaviour], True)
    assert answer.get("content-type") == "application/problem+json"
    assert SECRET.encode() not in answer.content + repr(answer.head).encode()
    assert (answer.get("retry-after") is not None) == (behaviour == "slow-down")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("behaviour", ["stall-head", "stall-first"])
async def test_origin_that_says_nothing_in_time_is_a_timeout(
    server: Server, client: str, behaviour: str
) -> None:
    answer = await server.fetch(f"/starlette/slow-{client}/{behaviour}/{uuid.uuid4().hex}")
    assert (answer.status, answer.complete) == (504, True)


async def test_origin_that_is_not_there_is_unavailable(server: Server) -> None:
    answer = await server.fetch("/starlette/unreachable/key")
    _check_problem(answer, 502, "The origin is unavailable")


@pytest.mark.parametrize("client", CLIENTS)
async def test_object_that_is_not_in_the_store_is_missing(server: Server, client: str) -> None:
    for key in ("no/such/object", "..%2f..%2fetc%2fpasswd", "a%00b", "x" * 1100):
        answer = await server.fetch(f"/starlette/store-{client}/{key}")
        _check_problem(answer, 404, "Not found")
