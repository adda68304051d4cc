"""What clients are told of limits: as the draft writes it, and nothing where nobody knows."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import BadFieldValue
from sluicegate.http.rate_fields import Allowance, Policy, rate_limit_fields, retry_after

MINUTE = Policy("default", 100, 60)
SECOND = Policy("default-1s", 10, 1)


def allowance(
    *, allowed: bool = True, remaining: int | None = 50, reset: float = 30.0, away: bool = False
) -> Allowance:
    return Allowance(allowed=allowed, policy=MINUTE, remaining=remaining, reset_seconds=reset, is_away=away)


@pytest.mark.parametrize(
    ("told", "fields"),
    [
        pytest.param(allowance(), (("ratelimit", '"default";r=50;t=30'),), id="allowed"),
        pytest.param(
            allowance(allowed=False, remaining=0, reset=1.2),
            (("ratelimit", '"default";r=0;t=2'), ("retry-after", "2")),
            id="refused",
        ),
        pytest.param(
            allowance(allowed=False, remaining=0, reset=0.0),
            (("ratelimit", '"default";r=0;t=0'), ("retry-after", "1")),
            id="refused-until-now",
        ),
        pytest.param(allowance(remaining=None), (), id="nobody-asked-what-is-left"),
        pytest.param(allowance(remaining=None, away=True), (), id="away-and-allowed"),
        pytest.param(
            allowance(allowed=False, remaining=None, reset=1.0, away=True),
            (("retry-after", "1"),),
            id="away-and-denied",
        ),
    ],
)
def test_fields_of_an_answer(told: Allowance, fields: tuple[tuple[str, str], ...]) -> None:
    assert rate_limit_fields(told, [MINUTE]) == (("ratelimit-policy", '"default";q=100;w=60'), *fields)


def test_every_policy_is_told() -> None:
    fields = dict(rate_limit_fields(allowance(), [SECOND, MINUTE]))
    assert fields["ratelimit-policy"] == '"default-1s";q=10;w=1, "default";q=100;w=60'


def test_status_says_whose_fault_it_is() -> None:
    assert allowance(allowed=False).status == 429
    assert allowance(allowed=False, away=True).status == 503


@pytest.mark.parametrize(
    ("name", "quota", "window"),
    [
        pytest.param("", 1, 1, id="no-name"),
        pytest.param('a"b', 1, 1, id="quote"),
        pytest.param("a\\b", 1, 1, id="backslash"),
        pytest.param("a\r\nb", 1, 1, id="line-break"),
        pytest.param("a\n", 1, 1, id="line-break-at-the-end"),
        pytest.param("ä", 1, 1, id="not-ascii"),
        pytest.param("a" * 65, 1, 1, id="long-name"),
        pytest.param("a", 0, 1, id="no-quota"),
        pytest.param("a", 10**15, 1, id="quota-beyond-15-digits"),
        pytest.param("a", 1, 0, id="no-window"),
    ],
)
def test_policy_that_no_field_can_say_is_refused(name: str, quota: int, window: int) -> None:
    with pytest.raises(BadFieldValue):
        Policy(name, quota, window)


@given(st.floats(-1e6, 1e300), st.integers(-5, 10**12))
def test_any_numbers_make_fields_of_structured_integers(seconds: float, remaining: int) -> None:
    told = allowance(allowed=False, remaining=remaining, reset=seconds)
    fields = dict(rate_limit_fields(told, [MINUTE]))
    assert re.fullmatch(r'"default";r=[0-9]{1,15};t=[0-9]{1,15}', fields["ratelimit"])
    assert int(retry_after(seconds)) >= max(1.0, min(seconds, 1e14))
