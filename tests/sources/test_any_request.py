"""Whatever clients send: no source answers it with anything but an outcome or a failure of ours."""

import string
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate import Found, OpenRequest
from sluicegate.errors import InvalidKey
from sluicegate.http.conditions import forwardable, read_conditions
from sluicegate.http.ranges import parse_range
from sluicegate.http.validators import format_date
from tests.sources.raw_origin import raw_origin, served
from tests.sources.stores import KINDS, Kind, source_at

FIELD_VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40
)
ETAGS = st.builds(
    '{}"{}"'.format, st.sampled_from(["", "W/"]), FIELD_VALUES.map(lambda text: text.replace('"', ""))
)
DATES = st.datetimes(timezones=st.just(UTC)).map(format_date)
CONDITIONS = st.dictionaries(
    st.sampled_from(["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]),
    st.one_of(ETAGS, DATES, FIELD_VALUES),
)
RANGES = st.one_of(
    st.none(),
    st.builds("bytes={}-{}".format, st.integers(0, 10**19 - 1), st.integers(0, 10**19 - 1)),
    st.builds("bytes={}-".format, st.integers(0, 10**19 - 1)),
    st.builds("bytes=-{}".format, st.integers(0, 10**19 - 1)),
)
KEYS = st.one_of(
    st.text(max_size=40), st.text(string.printable, max_size=40), st.text("./%\\a b+?#", max_size=12)
)


@pytest.mark.parametrize("kind", KINDS)
async def test_any_request_has_an_answer(kind: Kind) -> None:
    # One event loop, origin and source for all examples; hypothesis itself is not asynchronous.
    requests: list[tuple[str, OpenRequest]] = []

    @settings(max_examples=100, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(KEYS, CONDITIONS, RANGES, st.booleans())
    def collect(key: str, fields: dict[str, str], value: str | None, head: bool) -> None:
        specs = None if value is None else parse_range(value)
        conditions = forwardable(read_conditions(fields))
        requests.append(
            (key, OpenRequest(head=head, range=specs[0] if specs else None, conditions=conditions))
        )

    collect()
    async with raw_origin((served(b""),)) as origin, source_at(kind, origin.url) as source:
        for key, request in requests:
            try:
                outcome = await source.open(key, request)
            except InvalidKey:
                continue
            # The origin is content with everything, and so must be what is between.
            assert isinstance(outcome, Found)
            await outcome.body.aclose()
        assert {line.method for line in origin.requests} == {"GET", "HEAD"}
        assert all(line.target.startswith("/bucket/") for line in origin.requests)


def test_dates_reach_from_the_first_to_the_last() -> None:
    for date in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)):
        assert read_conditions({"if-modified-since": format_date(date)}).if_modified_since == date
