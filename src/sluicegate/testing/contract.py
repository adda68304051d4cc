"""What every source must do, as tests: the MUSTs of `sluicegate.sources.base`."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar, Final, Protocol

import pytest

from sluicegate.errors import InvalidKey, NotFound, SourceError
from sluicegate.http.conditions import Conditions, pinned_to
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, RangeSpec, Span, Suffix
from sluicegate.http.validators import ETag, ETagList
from sluicegate.sources.base import Body, Found, OpenOutcome, OpenRequest, Source
from sluicegate.testing.awkward_keys import AWKWARD_KEYS, INVALID_KEYS

SIZE: Final = 1000
LARGE: Final = 5_000_000
"""Some chunks of every client, and more than any of them gathers."""

ROUNDS: Final = 24
"""Bodies that are abandoned in a row. A source in a test allows fewer connections than that, so that one
which does not come back is missed."""

PATIENCE_SECONDS: Final = 30.0

RANGES: Final[Mapping[str, RangeSpec]] = {
    "first-byte": FromTo(0, 0),
    "last-byte": FromTo(SIZE - 1, SIZE - 1),
    "middle": FromTo(100, 299),
    "to-the-end": FromTo(400),
    "everything": FromTo(0),
    "past-the-end": FromTo(900, SIZE + 5000),
    "suffix": Suffix(10),
    "suffix-of-one": Suffix(1),
    "suffix-of-all": Suffix(SIZE),
    "suffix-longer": Suffix(SIZE * 9),
}
UNSATISFIABLE: Final[Mapping[str, RangeSpec]] = {
    "at-the-end": FromTo(SIZE),
    "behind-the-end": FromTo(SIZE + 10, SIZE + 20),
    "suffix-of-nothing": Suffix(0),
}
ABSURD: Final[Mapping[str, RangeSpec]] = {
    "first-beyond-63-bits": FromTo(9_999_999_999_999_999_999),
    "last-beyond-63-bits": FromTo(0, 9_999_999_999_999_999_999),
    "suffix-beyond-63-bits": Suffix(9_999_999_999_999_999_999),
}
EMPTY_RANGES: Final[Mapping[str, RangeSpec]] = {
    "first-byte": FromTo(0, 0),
    "to-the-end": FromTo(0),
    "later": FromTo(10, 20),
    "suffix": Suffix(5),
}
OTHER_TAGS: Final[Mapping[str, ETag]] = {
    "plain": ETag("another"),
    "empty": ETag(""),
    "punctuation": ETag("a,b;c=d W/ \\".replace(" ", "")),
    "beyond-ascii": ETag("\xe9t\xe9"),
    "long": ETag("x" * 2000),
}


class Put(Protocol):
    """Puts an object where the source finds it, in the place of what was there."""

    async def __call__(self, key: str, content: bytes, content_type: str = ...) -> None:
        """Put `content` as `key`."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tested: a source that is entered, and a way to put objects into its store."""

    source: Source
    put: Put

    async def open(self, key: str, request: OpenRequest | None = None) -> OpenOutcome:
        """Open `key`, whole if no request is given."""
        return await self.source.open(key, request or OpenRequest())


class SourceContract:
    """Tests for any source. Give a subclass named `Test...` a fixture `subject`, and pytest runs them:

        @pytest.mark.asyncio
        class TestShelf(SourceContract):
            cannot_hold: ClassVar = {"trailing-slash": "a shelf has no folders"}

            @pytest_asyncio.fixture
            async def subject(self) -> AsyncIterator[Subject]:
                async with Shelf(max_connections=8) as shelf:

                    async def put(key: str, content: bytes, content_type: str = "text/plain") -> None:
                        await shelf.write(key, content, content_type)

                    yield Subject(shelf, put)

    The tests are coroutine functions on asyncio: mark the class for pytest-asyncio, or use its mode "auto".
    They choose keys that are new at each run, so the store may be one that stays. Give the source a limit
    of connections well below 24, so that one that is not given back is missed.

    `cannot_hold` names the `AWKWARD_KEYS` that the store has no way to hold, and why; they must still not
    lead to another object. `departures` names tests (`test_range`, or one case, `test_range[suffix]`) that
    the store fails by its nature, and why. Both reasons stand in the message of the skipped test.
    """

    cannot_hold: ClassVar[Mapping[str, str]] = {}
    departures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Refuse names that say nothing."""
        unknown = [name for name in cls.cannot_hold if name not in AWKWARD_KEYS]
        unknown += [name for name in cls.departures if not hasattr(cls, name.partition("[")[0])]
        if unknown:
            raise TypeError(
                f"{cls.__name__} declares {', '.join(map(repr, unknown))}: cannot_hold names keys of "
                f"{', '.join(AWKWARD_KEYS)}; departures names tests"
            )

    @pytest.fixture
    def subject(self) -> Subject:
        """The source under test: to be replaced."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture named 'subject'")

    @pytest.fixture(autouse=True)
    def _skip_departures(self, request: pytest.FixtureRequest) -> None:
        name = request.node.name
        reason = self.departures.get(name) or self.departures.get(name.partition("[")[0])
        if reason is not None:
            pytest.skip(reason)

    @pytest.fixture
    def folder(self) -> str:
        """The name of a folder that no other test uses."""
        return f"contract-{secrets.token_hex(6)}"

    # What is served.

    async def test_whole_object(self, subject: Subject, folder: str) -> None:
        """All bytes, and a size that fits; no span."""
        content = await _put(subject, f"{folder}/whole.bin", SIZE)
        found = _found(await subject.open(f"{folder}/whole.bin"))
        assert (found.span, found.metadata.size) == (None, SIZE)
        assert await _read(found) == content

    async def test_media_type_is_kept(self, subject: Subject, folder: str) -> None:
        """The type that the object was put with."""
        await subject.put(f"{folder}/image.jpg", b"no image", "image/jpeg")
        found = _found(await subject.open(f"{folder}/image.jpg"))
        await found.body.aclose()
        assert found.metadata.content_type == "image/jpeg"

    async def test_validators_are_known(self, subject: Subject, folder: str) -> None:
        """An ETag and a date: without them nothing can be resumed or revalidated."""
        await _put(subject, f"{folder}/valid.bin", SIZE)
        found = _found(await subject.open(f"{folder}/valid.bin"))
        await found.body.aclose()
        assert found.metadata.etag is not None
        assert found.metadata.last_modified is not None
        assert found.metadata.last_modified.utcoffset() == timedelta(0)

    async def test_replaced_object_is_another_version(self, subject: Subject, folder: str) -> None:
        """The new bytes, under another ETag."""
        key = f"{folder}/replaced.bin"
        await subject.put(key, b"first")
        old = _found(await subject.open(key))
        assert await _read(old) == b"first"
        await subject.put(key, b"second")
        new = _found(await subject.open(key))
        assert await _read(new) == b"second"
        assert new.metadata.etag != old.metadata.etag

    async def test_large_object_is_exact(self, subject: Subject, folder: str) -> None:
        """Many chunks, byte for byte."""
        content = await _put(subject, f"{folder}/large.bin", LARGE)
        found = _found(await subject.open(f"{folder}/large.bin"))
        assert found.metadata.size == LARGE
        assert await _read(found) == content

    async def test_end_is_read_again_and_again(self, subject: Subject, folder: str) -> None:
        """An empty chunk at the end, and from then on."""
        await _put(subject, f"{folder}/end.bin", SIZE)
        body = _found(await subject.open(f"{folder}/end.bin")).body
        while await body.read():
            pass
        assert [bytes(await body.read()), bytes(await body.read())] == [b"", b""]
        await body.aclose()

    # Ranges.

    @pytest.mark.parametrize("name", RANGES)
    async def test_range(self, name: str, subject: Subject, folder: str) -> None:
        """The bytes that were asked for, the span that says so, and the size of the whole."""
        content = await _put(subject, f"{folder}/range.bin", SIZE)
        expected = RANGES[name].resolve(SIZE)
        found = _found(await subject.open(f"{folder}/range.bin", OpenRequest(range=RANGES[name])))
        assert (found.span, found.metadata.size) == (expected, SIZE)
        assert expected is not None
        assert await _read(found) == content[expected.start : expected.stop]

    async def test_range_of_large_object(self, subject: Subject, folder: str) -> None:
        """A range longer than a chunk."""
        content = await _put(subject, f"{folder}/large.bin", LARGE)
        asked = OpenRequest(range=FromTo(1_000_003, 4_000_000))
        found = _found(await subject.open(f"{folder}/large.bin", asked))
        assert found.span == Span(1_000_003, 4_000_001)
        assert await _read(found) == content[1_000_003:4_000_001]

    @pytest.mark.parametrize("name", UNSATISFIABLE)
    async def test_unsatisfiable_range(self, name: str, subject: Subject, folder: str) -> None:
        """An outcome, with the size if the store tells it."""
        await _put(subject, f"{folder}/range.bin", SIZE)
        outcome = await subject.open(f"{folder}/range.bin", OpenRequest(range=UNSATISFIABLE[name]))
        assert outcome in (Unsatisfiable(None), Unsatisfiable(SIZE))

    @pytest.mark.parametrize("name", ABSURD)
    async def test_absurd_range(self, name: str, subject: Subject, folder: str) -> None:
        """Numbers that fit nowhere: what they select, or everything, or nothing; never a crash."""
        content = await _put(subject, f"{folder}/range.bin", SIZE)
        outcome = await subject.open(f"{folder}/range.bin", OpenRequest(range=ABSURD[name]))
        if isinstance(outcome, Found):
            assert outcome.span in (None, ABSURD[name].resolve(SIZE))
            assert await _read(outcome) == content
        else:
            assert outcome in (Unsatisfiable(None), Unsatisfiable(SIZE))

    async def test_empty_object(self, subject: Subject, folder: str) -> None:
        """No bytes, a size of 0."""
        await subject.put(f"{folder}/empty.bin", b"")
        found = _found(await subject.open(f"{folder}/empty.bin"))
        assert (found.span, found.metadata.size) == (None, 0)
        assert await _read(found) == b""

    @pytest.mark.parametrize("name", EMPTY_RANGES)
    async def test_range_of_empty_object(self, name: str, subject: Subject, folder: str) -> None:
        """Unsatisfiable, or all of it, which is nothing; never an empty span, which HTTP cannot write."""
        await subject.put(f"{folder}/empty.bin", b"")
        outcome = await subject.open(f"{folder}/empty.bin", OpenRequest(range=EMPTY_RANGES[name]))
        if isinstance(outcome, Found):
            assert (outcome.span, await _read(outcome)) == (None, b"")
        else:
            assert outcome in (Unsatisfiable(None), Unsatisfiable(0))

    # HEAD.

    async def test_head_is_get_without_content(self, subject: Subject, folder: str) -> None:
        """The same metadata, and no bytes."""
        await subject.put(f"{folder}/head.txt", b"x" * SIZE, "text/plain")
        found = _found(await subject.open(f"{folder}/head.txt"))
        await found.body.aclose()
        head = _found(await subject.open(f"{folder}/head.txt", OpenRequest(head=True)))
        assert _lasting(head.metadata) == _lasting(found.metadata)
        assert (head.span, await _read(head)) == (None, b"")

    async def test_head_of_empty_object(self, subject: Subject, folder: str) -> None:
        """A size of 0, not an unknown one."""
        await subject.put(f"{folder}/empty.txt", b"")
        head = _found(await subject.open(f"{folder}/empty.txt", OpenRequest(head=True)))
        await head.body.aclose()
        assert head.metadata.size == 0

    # Conditions.

    @pytest.mark.parametrize("head", [False, True], ids=["get", "head"])
    async def test_same_tag_is_not_modified(self, subject: Subject, folder: str, head: bool) -> None:
        """If-None-Match of the current version: 304, which knows the version."""
        metadata = await _described(subject, f"{folder}/known.bin")
        assert metadata.etag is not None
        conditions = Conditions(if_none_match=ETagList((metadata.etag,)))
        outcome = await subject.open(f"{folder}/known.bin", OpenRequest(head=head, conditions=conditions))
        assert isinstance(outcome, NotModified)
        assert outcome.metadata.etag == metadata.etag

    @pytest.mark.parametrize("name", OTHER_TAGS)
    async def test_other_tag_is_served(self, name: str, subject: Subject, folder: str) -> None:
        """If-None-Match of anything else: the object."""
        await _described(subject, f"{folder}/known.bin")
        conditions = Conditions(if_none_match=ETagList((OTHER_TAGS[name],)))
        found = _found(await subject.open(f"{folder}/known.bin", OpenRequest(conditions=conditions)))
        assert len(await _read(found)) == SIZE

    async def test_not_modified_since_its_date(self, subject: Subject, folder: str) -> None:
        """If-Modified-Since of the date that the source gave: 304."""
        metadata = await _described(subject, f"{folder}/dated.bin")
        conditions = Conditions(if_modified_since=metadata.last_modified)
        outcome = await subject.open(f"{folder}/dated.bin", OpenRequest(conditions=conditions))
        assert isinstance(outcome, NotModified)
        assert outcome.metadata.last_modified in (metadata.last_modified, None)

    async def test_modified_since_an_earlier_date(self, subject: Subject, folder: str) -> None:
        """If-Modified-Since of an hour before: the object."""
        metadata = await _described(subject, f"{folder}/dated.bin")
        assert metadata.last_modified is not None
        conditions = Conditions(if_modified_since=metadata.last_modified - timedelta(hours=1))
        found = _found(await subject.open(f"{folder}/dated.bin", OpenRequest(conditions=conditions)))
        assert len(await _read(found)) == SIZE

    @pytest.mark.parametrize("spec", [None, FromTo(10, 19)], ids=["whole", "range"])
    async def test_match_of_the_version_is_served(
        self, subject: Subject, folder: str, spec: RangeSpec | None
    ) -> None:
        """If-Match of the current version: the object, or the part."""
        metadata = await _described(subject, f"{folder}/pinned.bin")
        assert metadata.etag is not None
        request = OpenRequest(range=spec, conditions=pinned_to(metadata.etag))
        found = _found(await subject.open(f"{folder}/pinned.bin", request))
        assert len(await _read(found)) == (SIZE if spec is None else 10)

    @pytest.mark.parametrize("spec", [None, FromTo(10, 19)], ids=["whole", "range"])
    async def test_match_of_another_version_fails(
        self, subject: Subject, folder: str, spec: RangeSpec | None
    ) -> None:
        """If-Match of anything else: 412, with a range too."""
        await _described(subject, f"{folder}/pinned.bin")
        request = OpenRequest(range=spec, conditions=pinned_to(ETag("another")))
        assert await subject.open(f"{folder}/pinned.bin", request) == PreconditionFailed()

    async def test_unmodified_since(self, subject: Subject, folder: str) -> None:
        """If-Unmodified-Since: the object for its own date, 412 for an hour before."""
        metadata = await _described(subject, f"{folder}/dated.bin")
        assert metadata.last_modified is not None
        same = Conditions(if_unmodified_since=metadata.last_modified)
        await _read(_found(await subject.open(f"{folder}/dated.bin", OpenRequest(conditions=same))))
        before = Conditions(if_unmodified_since=metadata.last_modified - timedelta(hours=1))
        outcome = await subject.open(f"{folder}/dated.bin", OpenRequest(conditions=before))
        assert outcome == PreconditionFailed()

    # Keys.

    @pytest.mark.parametrize(
        "request_",
        [OpenRequest(), OpenRequest(head=True), OpenRequest(range=FromTo(0, 9))],
        ids=["whole", "head", "range"],
    )
    async def test_missing_object_is_not_found(
        self, subject: Subject, folder: str, request_: OpenRequest
    ) -> None:
        """`NotFound`, however it is asked for."""
        with pytest.raises(NotFound):
            await subject.open(f"{folder}/missing.bin", request_)

    async def test_folder_is_no_object(self, subject: Subject, folder: str) -> None:
        """The beginning of a key is none, and neither is what lies below an object."""
        await subject.put(f"{folder}/sub/object.txt", b"content")
        for key in (folder, f"{folder}/sub", f"{folder}/sub/object.txt/below"):
            with pytest.raises(NotFound):
                await subject.open(key)

    @pytest.mark.parametrize("name", AWKWARD_KEYS)
    async def test_awkward_key(self, name: str, subject: Subject, folder: str) -> None:
        """It leads to its own object alone, never to that of a key like it."""
        awkward = AWKWARD_KEYS[name].under(folder)
        for other in awkward.others:
            await subject.put(other, f"other {other}".encode())
        with pytest.raises(NotFound):
            await subject.open(awkward.key)
        if name in self.cannot_hold:
            pytest.skip(self.cannot_hold[name])
        await subject.put(awkward.key, b"its own")
        assert await _read(_found(await subject.open(awkward.key))) == b"its own"
        part = _found(await subject.open(awkward.key, OpenRequest(range=FromTo(4, 6))))
        assert (part.span, await _read(part)) == (Span(4, 7), b"own")
        for other in awkward.others:
            assert await _read(_found(await subject.open(other))) == f"other {other}".encode()

    @pytest.mark.parametrize("name", INVALID_KEYS)
    async def test_invalid_key(self, name: str, subject: Subject, folder: str) -> None:
        """`InvalidKey`, and never the object that the key would come to if it were tidied up."""
        for other in ("a/b", f"{folder}/a/b"):
            await subject.put(other, b"another object")
        keys = [INVALID_KEYS[name], f"{folder}/{INVALID_KEYS[name]}" if INVALID_KEYS[name] else ""]
        for key in keys:
            with pytest.raises(InvalidKey):
                await subject.open(key)

    @pytest.mark.parametrize("key", ["a\r\nX-Injected: b", "a\nb", "a\tb", "a\x7fb", "a\x1b[0mb"], ids=ascii)
    async def test_key_with_control_characters_is_harmless(
        self, key: str, subject: Subject, folder: str
    ) -> None:
        """Some stores can hold them; that there is no such object is all that is known here."""
        with pytest.raises(SourceError):
            await subject.open(f"{folder}/{key}")

    # Connections.

    async def test_body_closed_early_gives_its_connection_back(self, subject: Subject, folder: str) -> None:
        """In any state: not begun, begun, and closed already."""
        key = f"{folder}/early.bin"
        content = await _put(subject, key, LARGE)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for reads in (0, 1) * (ROUNDS // 2):
                body = _found(await subject.open(key)).body
                for _ in range(reads):
                    assert await body.read()
                await body.aclose()
                await body.aclose()
            assert await _read(_found(await subject.open(key))) == content

    async def test_cancelled_open_leaves_nothing_behind(self, subject: Subject, folder: str) -> None:
        """At whatever moment it is cancelled."""
        key = f"{folder}/cancelled.bin"
        content = await _put(subject, key, LARGE)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for round_ in range(ROUNDS):
                opening = asyncio.create_task(subject.open(key))
                await asyncio.wait((opening,), timeout=0.001 * (round_ % 6))
                opening.cancel()
                await asyncio.wait((opening,))
                if not opening.cancelled():
                    await _found(opening.result()).body.aclose()
            assert await _read(_found(await subject.open(key))) == content

    async def test_cancelled_read_leaves_nothing_behind(self, subject: Subject, folder: str) -> None:
        """The body is lost; its connection is not."""
        key = f"{folder}/cancelled.bin"
        content = await _put(subject, key, LARGE)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(ROUNDS):
                body = _found(await subject.open(key)).body
                reading = asyncio.create_task(_drain(body))
                await asyncio.wait((reading,), timeout=0.001)
                reading.cancel()
                await asyncio.wait((reading,))
                await body.aclose()
            assert await _read(_found(await subject.open(key))) == content

    async def test_many_at_once(self, subject: Subject, folder: str) -> None:
        """More than there are connections, each with its own bytes."""
        key = f"{folder}/many.bin"
        content = await _put(subject, key, LARGE)

        async def part(index: int) -> bytes:
            request = OpenRequest(range=FromTo(index * 100_000, index * 100_000 + 99_999))
            return await _read(_found(await subject.open(key, request)))

        async with asyncio.timeout(PATIENCE_SECONDS):
            parts = await asyncio.gather(*(part(index) for index in range(LARGE // 100_000)))
        assert b"".join(parts) == content


async def _put(subject: Subject, key: str, size: int) -> bytes:
    """Put `size` bytes that look like none of each other's slices."""
    content = random.Random(size).randbytes(size)  # noqa: S311
    await subject.put(key, content)
    return content


async def _described(subject: Subject, key: str) -> Metadata:
    """The metadata of a new object of `SIZE` bytes."""
    await _put(subject, key, SIZE)
    found = _found(await subject.open(key))
    await found.body.aclose()
    return found.metadata


def _found(outcome: OpenOutcome) -> Found:
    assert isinstance(outcome, Found), outcome
    return outcome


async def _read(found: Found) -> bytes:
    """All bytes of a body, which is closed then."""
    try:
        return await _drain(found.body)
    finally:
        await found.body.aclose()


async def _drain(body: Body) -> bytes:
    chunks = []
    while chunk := await body.read():
        chunks.append(bytes(chunk))
    return b"".join(chunks)


def _lasting(metadata: Metadata) -> Metadata:
    """`metadata` without the time of the answer, which is another one each time."""
    return replace(metadata, answered=None)
