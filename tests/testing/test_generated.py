"""Generated content: any slice of it is what a slice of the whole would be."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.ranges import Span
from sluicegate.testing import Generated
from sluicegate.testing.generated import TILE_BYTES

SIZE = 2 * TILE_BYTES + 1234
CONTENT = Generated(SIZE, seed=5)
WHOLE = bytes(CONTENT.read())


@given(st.integers(-SIZE - 5, SIZE + 5), st.none() | st.integers(-SIZE - 5, SIZE + 5))
def test_it_is_sliced_as_bytes_are(start: int, stop: int | None) -> None:
    assert CONTENT.read(start, stop) == WHOLE[start:stop]


def test_digest_is_that_of_the_bytes() -> None:
    assert CONTENT.sha256() == hashlib.sha256(WHOLE).hexdigest()
    assert CONTENT.sha256(Span(10, SIZE)) == hashlib.sha256(WHOLE[10:]).hexdigest()


def test_pieces_are_everything() -> None:
    assert b"".join(CONTENT.pieces(Span(7, 2_000_000), 99_991)) == WHOLE[7:2_000_000]


def test_seed_makes_another_content() -> None:
    assert Generated(1000, seed=1).read() != Generated(1000, seed=2).read()
    assert Generated(1000, seed=1).read() == Generated(2000, seed=1).read(0, 1000)


def test_terabytes_are_read_at_their_end() -> None:
    size = 1 << 43
    assert len(Generated(size).read(-3)) == 3
    assert Generated(size).read(size) == b""


@pytest.mark.parametrize("part", [4096, 65_536, 1 << 20, 5 << 20, 8 << 20, 16 << 20])
def test_no_part_of_usual_size_is_like_its_neighbour(part: int) -> None:
    content = Generated(part * 3)
    assert content.read(0, 4096) != content.read(part, part + 4096) != content.read(2 * part, 2 * part + 4096)


def test_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="got -1"):
        Generated(-1)
