"""The file of revoked links: what counts while people and processes write to it."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.access.base import Grant, Refusal
from sluicegate.access.errors import BadCredentials
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from sluicegate.access.revoked import LARGEST, LOOK_SECONDS, RevokedLinks, revoke

from .signing import KEYS, Clock, asked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "revoked.txt"


class Reader:
    """What a running process knows of the file: each question comes a look later than the last."""

    def __init__(self, path: Path) -> None:
        self._clock = Clock()
        self._revoked = RevokedLinks(path, clock=self._clock)

    def known(self, *ids: str, after: float = LOOK_SECONDS) -> list[str]:
        """Those of `ids` that are revoked, so many seconds later."""
        self._clock.now += after
        return [link_id for link_id in ids if self._revoked(link_id)]


# What the file says.


def test_file_is_read_line_by_line(path: Path) -> None:
    path.write_text("one\n\n  two \t\nthree # left the company\n# four\n#five\n\r\nsix\r\nseven")
    ids = ["one", "two", "three", "four", "five", "six", "seven", "", "left"]
    assert Reader(path).known(*ids) == ["one", "two", "three", "six", "seven"]


def test_byte_order_mark_of_an_editor_hides_no_id(path: Path) -> None:
    path.write_bytes("\ufeffone\r\ntwo".encode())
    assert Reader(path).known("one", "two") == ["one", "two"]


def test_file_that_does_not_exist_has_no_ids_until_it_does(path: Path) -> None:
    reader = Reader(path)
    assert reader.known("one") == []
    revoke(path, "one")
    assert reader.known("one") == ["one"]


def test_comments_may_be_in_any_words(path: Path) -> None:
    path.write_bytes("one # für Zoë\ntwo # ".encode() + b"\xff\xfe\x00\n")
    assert Reader(path).known("one", "two") == ["one", "two"]


# What happens to it.


def test_id_that_is_appended_by_hand_counts(path: Path) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    with path.open("a") as file:
        file.write("two\n")
    assert reader.known("one", "two") == ["one", "two"]


def test_id_that_is_appended_by_another_process_counts(path: Path) -> None:
    reader = Reader(path)
    code = (
        "import sys; from pathlib import Path; from sluicegate.access.revoked import revoke;"
        "[revoke(Path(sys.argv[1]), name) for name in sys.argv[2:]]"
    )
    names = [f"id-{number}" for number in range(60)]
    shares = [names[:20], names[20:40], names[40:]]
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), *share]) for share in shares]
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    assert sorted(path.read_text().split()) == sorted(names)
    assert reader.known(*names) == names


def test_id_that_is_appended_behind_an_unfinished_line_counts(path: Path) -> None:
    path.write_text("one\ntw")
    revoke(path, "three")
    assert Reader(path).known("one", "two", "tw", "three") == ["one", "tw", "three"]


def test_file_that_is_edited_in_place_counts_though_it_is_as_long_and_as_old(path: Path) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    before = path.stat()
    path.write_text("two\n")
    # As copying tools do that keep times. The time of this change itself cannot be set.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    _until_changed(path, before.st_ctime_ns)
    assert reader.known("one", "two") == ["two"]


def _until_changed(path: Path, before: int) -> None:
    """Have the file system tell a change from the one before: its clock may tick every few milliseconds."""
    while path.stat().st_ctime_ns == before:
        path.chmod(0o600)


def test_file_that_is_replaced_by_another_counts(path: Path) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    other = path.with_suffix(".new")
    other.write_text("two\n")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert reader.known("one", "two") == ["two"]


def test_id_that_is_taken_out_counts_no_more(path: Path) -> None:
    path.write_text("one\ntwo\n")
    reader = Reader(path)
    path.write_text("two\n")
    assert reader.known("one", "two") == ["two"]


def test_file_is_looked_at_once_a_second(path: Path) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    path.write_text("one\ntwo\n")
    assert reader.known("two", after=LOOK_SECONDS / 2) == []
    assert reader.known("two", after=LOOK_SECONDS / 2) == ["two"]


# What may go wrong with it: nobody's link works again by a mistake, and none goes on to work.


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    caplog.clear()
    return found


def told(path: Path, words: str) -> list[str]:
    return [f"the file of revoked links, {str(path)!r}: {words}; what was read last counts"]


def test_file_that_is_deleted_leaves_what_was_read_last(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    path.unlink()
    assert reader.known("one", "two") == ["one"]
    assert errors(caplog) == told(path, "it is gone")
    assert reader.known("one") == ["one"]
    # Said once, and not every second.
    assert errors(caplog) == []
    path.write_text("two\n")
    assert reader.known("one", "two") == ["two"]
    path.unlink()
    assert reader.known("one", "two") == ["two"]
    assert errors(caplog) == told(path, "it is gone")


def test_file_that_cannot_be_read_any_more_leaves_what_was_read_last(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    path.unlink()
    # Whoever runs this, root among them, cannot read it.
    path.symlink_to(path)
    assert reader.known("one", "two") == ["one"]
    assert errors(caplog) == told(path, "Too many levels of symbolic links")


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_leaves_what_was_read_last_and_nobody_waits_for_it(
    path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert reader.known("one", "two") == ["one"]
    assert errors(caplog) == told(path, "it is not a regular file")


def test_file_that_is_too_large_leaves_what_was_read_last(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    path.write_text("two\n" + "#" * LARGEST)
    assert reader.known("one", "two") == ["one"]
    assert errors(caplog) == told(path, f"it is larger than {LARGEST} bytes")


def test_largest_file_is_read(path: Path) -> None:
    path.write_text(("two\n" + "#" * LARGEST)[:LARGEST])
    assert Reader(path).known("two") == ["two"]


def test_garbage_neither_hides_a_revocation_nor_takes_one_back(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("one\n")
    reader = Reader(path)
    path.write_bytes(b"\xff\xfe\x00garbage\nfour five\ntwo\n")
    assert reader.known("one", "two", "four", "five") == ["one", "two"]
    assert errors(caplog) == told(path, "line 1 is not the id of a link")
    revoke(path, "three")
    assert reader.known("one", "two", "three") == ["one", "two", "three"]
    path.write_text("three\n")
    assert reader.known("one", "two", "three") == ["three"]


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_in_the_file_raise(
    tmp_path_factory: pytest.TempPathFactory, first: bytes, then: bytes
) -> None:
    path = tmp_path_factory.mktemp("revoked") / "file"
    path.write_bytes(b"# " + first.replace(b"\n", b" "))
    reader = Reader(path)
    # Another file: what is written to the same one within a tick of its clock may look as it did before.
    other = path.with_name("other")
    other.write_bytes(then + b"\nnew\n")
    other.replace(path)
    assert reader.known("new") == ["new"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"one\ntwo three\n", "line 2 is not the id of a link", id="two-in-a-line"),
        pytest.param(b"\xff\xfeo\x00n\x00e\x00", "line 1 is not the id of a link", id="utf-16"),
        pytest.param(b"e.k1.1750000000..MAC", "line 1 is not the id of a link", id="token"),
        pytest.param(b"a" * 65, "line 1 is not the id of a link", id="long"),
        pytest.param(b"#" * (LARGEST + 1), f"it is larger than {LARGEST} bytes", id="too-large"),
    ],
)
def test_file_that_cannot_be_used_from_the_start_is_told(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(BadCredentials, match=words) as raised:
        RevokedLinks(path)
    assert str(path) in str(raised.value)


def test_folder_is_no_file_from_the_start(path: Path) -> None:
    path.mkdir()
    with pytest.raises(BadCredentials, match="not a regular file"):
        RevokedLinks(path)


# Revoking.


def test_revoking_adds_a_line_and_keeps_what_is_there(path: Path) -> None:
    path.write_text("# ours\none")
    revoke(path, "two")
    revoke(path, "two")
    assert path.read_text() == "# ours\none\ntwo\n\ntwo\n"


@pytest.mark.parametrize("link_id", ["", "a b", "a\nb", "#a", "a" * 65, "é"])
def test_what_is_no_id_is_not_written(path: Path, link_id: str) -> None:
    with pytest.raises(BadCredentials, match="id of a link"):
        revoke(path, link_id)
    assert not path.exists()


def test_revocation_that_nobody_would_read_is_told(path: Path) -> None:
    full = "#" * (LARGEST - len("\none\n"))
    path.write_text(full)
    revoke(path, "one")
    with pytest.raises(BadCredentials, match="take the links out of it that have expired"):
        revoke(path, "two")
    assert path.read_text() == full + "\none\n"
    assert Reader(path.with_name("other")).known("one") == []


def test_revocation_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadCredentials, match="No such file or directory"):
        revoke(tmp_path / "none" / "revoked.txt", "one")
    with pytest.raises(BadCredentials, match="Is a directory"):
        revoke(tmp_path, "one")


async def test_link_ends_within_a_second_of_its_revocation(path: Path) -> None:
    clock = Clock()
    links = SignedLinks(KEYS, is_revoked=RevokedLinks(path, clock=clock), clock=clock)
    token = links.sign("/a", 60, LinkClaims(id="order-7"))
    assert await links.verify(asked("/a", token)) == Grant(subject="order-7")
    revoke(path, "order-7")
    clock.now += LOOK_SECONDS
    ended = Refusal(reason="the link 'order-7' has been revoked", status=403)
    assert await links.verify(asked("/a", token)) == ended
