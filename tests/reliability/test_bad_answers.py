"""Origins that answer what they should not: the client gets a cut, or the whole, and never two versions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluicegate import Outcome
from sluicegate.http.validators import format_date
from sluicegate.testing import (
    MIB,
    Bandwidth,
    HangUp,
    IgnoreConditions,
    IgnoreRange,
    NewETags,
    NoLastModified,
    NoLength,
    Overrun,
    Replaced,
    Reset,
    Status,
    Understate,
    WeakETags,
    WrongSize,
    WrongSpan,
)

from .conftest import Serving
from .service import AHEAD, CONTENT, MIDDLE, OTHER, PATH, SIZE, Kind

WRONG: list[Any] = [
    pytest.param((IgnoreRange(),), "BadAnswer", id="everything"),
    pytest.param((WrongSpan(1),), "BadAnswer", id="another-span"),
    pytest.param((NoLength(), Overrun(5)), "BadAnswer", id="more-than-promised"),
    pytest.param((Status(400),), "BadAnswer", id="400"),
    pytest.param((Status(403),), "Denied", id="403"),
    pytest.param((WrongSize(5),), "VersionChanged", id="another-size"),
    pytest.param((Replaced(OTHER),), "VersionChanged", id="another-version"),
    pytest.param((Replaced(OTHER), IgnoreConditions()), "VersionChanged", id="another-version-unasked"),
    pytest.param((Replaced(OTHER[:100]),), "VersionChanged", id="a-shorter-version"),
    pytest.param((NewETags(), IgnoreConditions()), "VersionChanged", id="another-tag"),
    pytest.param((Status(404),), "VersionChanged", id="gone"),
]


@pytest.mark.parametrize(("faults", "error"), WRONG)
async def test_wrong_answer_to_a_resume_is_a_cut(
    served: Serving, kind: Kind, faults: tuple[Any, ...], error: str
) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), faults])
        answer, record = await service.get()
        assert (answer.status, answer.complete, CONTENT.startswith(answer.content)) == (200, False, True)
        changed = error == "VersionChanged"
        outcome = Outcome.VERSION_CHANGED if changed else Outcome.ORIGIN_FAILED
        assert (record.outcome, record.resumes, record.retries) == (outcome, 1, 0)
        assert str(record.error).split(":")[0] == error
        # obstore keeps nothing of an answer that ignores its range, and has to ask for it again.
        asked_twice = kind == "obstore" and isinstance(faults[0], IgnoreRange)
        assert len(service.asked) == record.requests + asked_twice == 2 + asked_twice


@pytest.mark.parametrize("request_number", [3, 5])
async def test_object_that_changes_is_never_joined(served: Serving, request_number: int) -> None:
    async with served() as service:
        breaks = [Reset(600_000), *[Reset(70_000)] * 20]
        service.origin.script(PATH, breaks)
        service.origin.fail(PATH, Replaced(OTHER), first=request_number)
        answer, record = await service.get()
        assert (answer.status, answer.complete, CONTENT.startswith(answer.content)) == (200, False, True)
        assert record.outcome is Outcome.VERSION_CHANGED
        assert len(service.asked) == request_number
        assert {seen.fields.get("if-match") for seen in service.asked[1:]} == {answer.get("etag")}


async def test_object_is_deleted_while_it_is_read(served: Serving) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), Status(500)])
        service.origin.on_missing(None)
        async with service.client() as client:
            await client.read_head()
            service.origin.delete(PATH)
            answer = await client.drain()
        record = await service.record()
        assert (answer.complete, CONTENT.startswith(answer.content)) == (False, True)
        assert record.outcome is Outcome.VERSION_CHANGED


async def test_object_with_a_weak_tag_is_pinned_by_its_date(served: Serving) -> None:
    async with served() as service:
        service.origin.always(WeakETags())
        service.origin.fail(PATH, Reset(MIDDLE), times=1)
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        assert (record.outcome, record.resumes) == (Outcome.COMPLETE, 1)
        pin = service.asked[1].fields
        assert (pin.get("if-match"), pin.get("if-unmodified-since")) == (None, answer.get("last-modified"))


async def test_date_that_is_too_young_pins_nothing(served: Serving, kind: Kind) -> None:
    async with served() as service:
        # A date is too young for a second: one that lies ahead of the answer stays so on a slow machine too.
        young = datetime.now(UTC) + timedelta(minutes=1)
        service.origin.put(PATH, CONTENT, weak=True, last_modified=young)
        service.origin.fail(PATH, Reset(MIDDLE), times=1)
        answer, record = await service.get()
        assert (answer.status, answer.complete, CONTENT.startswith(answer.content)) == (200, False, True)
        assert (record.outcome, record.resumes, len(service.asked)) == (Outcome.ORIGIN_FAILED, 0, 1)


UNPINNABLE: list[Any] = [
    pytest.param((WeakETags(), NoLastModified()), id="weak-tag-alone"),
    pytest.param((NoLength(),), id="no-length"),
    pytest.param((NoLength(chunked=False),), id="end-of-the-connection"),
]


@pytest.mark.parametrize("faults", UNPINNABLE)
async def test_object_that_cannot_be_asked_for_again_is_one_part(
    served: Serving, kind: Kind, faults: tuple[Any, ...]
) -> None:
    async with served() as service:
        service.origin.always(*faults)
        answer, record = await service.get()
        assert (record.requests, record.parts, record.resumes) == (1, int(answer.status == 200), 0)
        if answer.status == 200:
            assert answer.content == CONTENT
            assert record.outcome is Outcome.COMPLETE
        else:
            # obstore reads no answer without a length, and the S3 clients none without an end.
            assert isinstance(faults[0], NoLength)
            assert kind == "obstore" or (not faults[0].chunked and kind in ("aiobotocore", "botocore"))
            assert (answer.status, str(record.error).split(":")[0]) == (502, "BadAnswer")
            return
        service.origin.fail(PATH, Reset(MIDDLE))
        answer, record = await service.get()
        assert (answer.complete, CONTENT.startswith(answer.content)) == (False, True)
        assert (record.outcome, record.requests, record.resumes) == (Outcome.ORIGIN_FAILED, 1, 0)


async def test_length_that_contradicts_the_span_is_never_joined(served: Serving, kind: Kind) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), Understate(5)])
        answer, record = await service.get()
        # obstore does not tell the length: what it gives is short, and asked for again from there.
        whole = kind == "obstore"
        assert (answer.complete, answer.content == CONTENT) == (whole, whole)
        assert CONTENT.startswith(answer.content)
        assert record.outcome is (Outcome.COMPLETE if whole else Outcome.ORIGIN_FAILED)


async def test_new_tag_on_each_answer_is_a_cut_where_it_breaks(served: Serving) -> None:
    async with served() as service:
        service.origin.always(NewETags())
        answer, record = await service.get()
        assert (answer.complete, answer.content == CONTENT, record.requests) == (True, True, 1)
        service.origin.fail(PATH, Reset(MIDDLE), times=1)
        answer, record = await service.get()
        assert (answer.complete, CONTENT.startswith(answer.content)) == (False, True)
        assert (record.outcome, record.requests, record.resumes) == (Outcome.VERSION_CHANGED, 2, 1)


async def test_what_comes_behind_the_length_is_not_of_the_answer(served: Serving) -> None:
    async with served() as service:
        service.origin.always(Overrun(1000))
        for _ in range(2):
            answer, record = await service.get()
            assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
            assert (record.outcome, record.requests, record.resumes) == (Outcome.COMPLETE, 1, 0)


@pytest.mark.parametrize(("times", "status"), [(2, 200), (3, 502)], ids=["twice", "three-times"])
@pytest.mark.parametrize("fault", [Reset(0), Status(500)], ids=repr)
async def test_origin_that_fails_before_the_first_byte(
    served: Serving, fault: Any, times: int, status: int
) -> None:
    async with served() as service:
        service.origin.fail(PATH, fault, times=times)
        answer, record = await service.get()
        assert (answer.status, answer.complete, record.outcome) == (status, True, Outcome.COMPLETE)
        assert status == 502 or answer.content == CONTENT
        assert record.resumes + record.retries == 2
        assert (record.error is None) == (status == 200)
        assert len(service.asked) == record.requests >= 3


async def test_hang_ups_without_end_are_a_status(served: Serving) -> None:
    async with served() as service:
        service.origin.fail(PATH, HangUp(reset=True))
        answer, record = await service.get()
        assert (answer.status, answer.complete, record.outcome) == (502, True, Outcome.COMPLETE)
        assert (record.requests, record.retries) == (3, 2)


async def test_origin_that_throttles_for_a_while_is_waited_for(served: Serving) -> None:
    steps = [Status(429), Status(503), Status(429)]
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), *steps])
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        assert (record.outcome, record.resumes, record.retries) == (Outcome.COMPLETE, 1, 3)


def _soon() -> str:
    return format_date(datetime.now(UTC) + timedelta(seconds=1))


HARMLESS = [
    pytest.param("Mon, 01 Jan 2024 00:00:00 GMT", id="date-that-has-passed"),
    pytest.param("soon", id="nonsense"),
    pytest.param("9" * 30, id="number-of-thirty-digits"),
]


@pytest.mark.parametrize("retry_after", HARMLESS)
async def test_retry_after_that_asks_for_no_wait_is_none(served: Serving, retry_after: str) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), Status(503, retry_after=retry_after)])
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        assert (record.outcome, record.resumes, record.retries) == (Outcome.COMPLETE, 1, 1)


async def test_retry_after_with_a_date_is_obeyed(served: Serving) -> None:
    async with served() as service:
        service.origin.script(PATH, [Reset(MIDDLE), Status(503, retry_after=_soon())])
        answer, record = await service.get()
        assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
        assert (record.outcome, record.resumes, record.retries) == (Outcome.COMPLETE, 1, 1)


@pytest.mark.parametrize(
    "retry_after", ["999999999", "Fri, 01 Jan 2100 00:00:00 GMT"], ids=["seconds", "date"]
)
async def test_retry_after_of_years_is_not_waited_for(served: Serving, kind: Kind, retry_after: str) -> None:
    async with served() as service:
        throttled = Status(503, retry_after=retry_after)
        service.origin.script(PATH, [throttled, Reset(MIDDLE), throttled])
        if kind == "obstore":
            # It does not tell what the origin asked for.
            answer, record = await service.get()
            assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
            assert (record.outcome, record.resumes, record.retries) == (Outcome.COMPLETE, 1, 2)
            return
        answer, record = await service.get()
        assert (answer.status, record.requests, len(service.asked)) == (503, 1, 1)
        answer, record = await service.get()
        assert (answer.status, answer.complete, CONTENT.startswith(answer.content)) == (200, False, True)
        assert (record.outcome, record.resumes, record.retries) == (Outcome.ORIGIN_FAILED, 1, 0)
        assert str(record.error).split(":")[0] == "Throttled"
        assert record.bytes_sent < SIZE


async def test_nginx_1611_slices_of_two_versions_are_never_joined(served: Serving) -> None:
    # Slices on several connections: one of them is of another version, of the same size, and not refused.
    async with served(AHEAD) as service:
        # Far slower than a machine that is busy takes it.
        service.origin.always(Bandwidth(MIB), IgnoreConditions())
        service.origin.fail(PATH, Replaced(OTHER), first=3)
        answer, record = await service.get()
        assert (service.origin.peak_busy_connections > 1, len(service.asked) > 2) == (True, True)
        # The connections of the first version may bring it to its end; another one's bytes never count.
        assert (answer.status, CONTENT.startswith(answer.content)) == (200, True)
        assert answer.complete == (answer.content == CONTENT)
        assert record.outcome is (Outcome.COMPLETE if answer.complete else Outcome.VERSION_CHANGED)
