"""Every input that is kept, and many that nobody wrote, through its target."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import waiting
from .targets import CORPUS, TARGETS, inputs

QUICK = 200
"""Inputs for a target of pure functions."""

SLOW = {"request": 100, "connection": 100, "password": 80, "token": 100}
"""Inputs for those that wait for files, threads and signatures."""

MOST_INPUTS = 60
"""Files of a target: they are read by people, too."""

_PIECES = re.compile(rb"\w+|\W", re.ASCII)


# Once and for all: what is closed does not open again, and a worker may come back to this module.
@pytest.fixture(scope="session", autouse=True)
def closed() -> Iterator[None]:
    yield
    waiting.close()


KEPT = [pytest.param(name, path, id=f"{name}-{path.name}") for name in TARGETS for path in inputs(name)]


@pytest.mark.parametrize(("name", "path"), KEPT)
def test_kept_input_breaks_no_promise(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


def pieces(name: str) -> st.SearchStrategy[bytes]:
    """Inputs made of what the kept ones are made of, in any order, and of bytes that do not belong."""
    kept = [path.read_bytes() for path in inputs(name)]
    known = st.sampled_from(sorted({piece for one in kept for piece in _PIECES.findall(one)}))
    return st.lists(st.one_of(known, known, known, st.binary(max_size=4)), max_size=40).map(b"".join)


def changed(name: str) -> st.SearchStrategy[bytes]:
    """Kept inputs with one place of them replaced."""
    kept = st.sampled_from([path.read_bytes() for path in inputs(name)])
    places = st.tuples(st.integers(0, 400), st.integers(0, 8))
    return st.builds(_replaced, kept, places, st.one_of(pieces(name), st.binary(max_size=8)))


def _replaced(data: bytes, place: tuple[int, int], other: bytes) -> bytes:
    start = place[0] % (len(data) + 1)
    return data[:start] + other + data[start + place[1] :]


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name: str) -> None:
    # Not derandomized: it is another search each time, and what it finds is printed to be kept.
    @settings(max_examples=SLOW.get(name, QUICK), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(pieces(name), changed(name), st.binary(max_size=200)))
    def search(data: bytes) -> None:
        TARGETS[name](data)

    search()


@pytest.mark.parametrize("name", TARGETS)
def test_there_are_some_inputs_to_begin_with_and_not_too_many(name: str) -> None:
    assert 5 <= len(inputs(name)) <= MOST_INPUTS


def test_no_input_is_left_without_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
