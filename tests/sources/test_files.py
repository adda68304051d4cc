"""Folders as stores: which file a key is, what is said of it, and what comes of files that change."""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from obstore.store import MemoryStore

from sluicegate.errors import (
    BrokenBody,
    Denied,
    InvalidKey,
    NotFound,
    SourceError,
    Unavailable,
    VersionChanged,
)
from sluicegate.http.conditions import Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed
from sluicegate.http.ranges import Span, exactly
from sluicegate.http.validators import ETag, ETagList
from sluicegate.sources.base import CHUNK_SIZE, SMALL, OpenRequest
from sluicegate.sources.files import ERRORS, FileStore
from sluicegate.sources.local_file import SLOW_FOR_SECONDS, SLOW_SECONDS, FileAccess, FileBody, OpenFile
from sluicegate.sources.object_store import ObjectStore
from sluicegate.sources.translation import by_table

from .stores import content_of, drain, found

CONTENT = os.urandom(2 * CHUNK_SIZE + 1)
KEY = "a/b c#é.jpg"


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / KEY).write_bytes(CONTENT)
    async with FileStore(folder.as_uri()) as source:
        yield source
        await released()


def open_files() -> set[str]:
    """The files of the tests that this process has open."""
    found: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if "/folder/" in target:
            found.add(f"{entry.name} {target}")
    return found


def folder_of(store: FileStore) -> Path:
    return Path(store.location.bucket)


async def opened(store: FileStore, key: str = KEY) -> FileBody:
    body = found(await store.open(key, OpenRequest())).body
    assert isinstance(body, FileBody)
    return body


async def test_metadata_are_those_that_obstore_tells(store: FileStore) -> None:
    async with ObjectStore(str(folder_of(store).as_uri())) as other:
        theirs = found(await other.open(KEY, OpenRequest(head=True))).metadata
    ours = found(await store.open(KEY, OpenRequest(head=True))).metadata
    for name in ("size", "etag", "last_modified", "content_type", "ranges", "version"):
        assert getattr(ours, name) == getattr(theirs, name), name


async def test_obstore_writes_what_is_read(store: FileStore) -> None:
    await store.client.put_async("new/object%20.bin", b"written")
    assert await content_of(await store.open("new/object%20.bin", OpenRequest())) == b"written"


async def test_file_that_is_replaced_by_its_name_is_served_as_it_was(store: FileStore) -> None:
    body = await opened(store)
    begun = bytes(await body.read())
    other = folder_of(store) / "other"
    other.write_bytes(b"another one")
    other.replace(folder_of(store) / KEY)
    assert begun + await drain(body) == CONTENT
    await body.aclose()


@pytest.mark.parametrize("read", [CONTENT, CONTENT[100:200]], ids=["whole", "range"])
async def test_file_is_closed_with_its_last_byte(read: bytes, store: FileStore) -> None:
    start = CONTENT.index(read)
    asked = None if read == CONTENT else exactly(Span(start, start + len(read)))
    body = found(await store.open(KEY, OpenRequest(range=asked))).body
    content = b""
    while len(content) < len(read):
        assert len(open_files()) == 1
        content += await body.read()
    assert (content, open_files(), getattr(body, "is_closed", None)) == (read, set(), True)
    assert await body.read() == b""


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda file: file.truncate(CHUNK_SIZE), id="truncated"),
        pytest.param(lambda file: file.truncate(0), id="emptied"),
        pytest.param(lambda file: file.write(b"other"), id="written-over"),
        pytest.param(lambda file: (file.seek(0, os.SEEK_END), file.write(b"more")), id="written-at-its-end"),
    ],
)
async def test_file_that_is_changed_in_place_breaks_the_body(
    store: FileStore, change: Callable[[object], object]
) -> None:
    body = await opened(store)
    await body.read()
    path = folder_of(store) / KEY
    then = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        change(file)
    # The clock of the file system may not have ticked since the file was made.
    os.utime(path, ns=(then + 1, then + 1))
    with pytest.raises(VersionChanged):
        await drain(body)
    await body.aclose()


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


NO_FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda _path: None,
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "dangling-link": lambda path: path.symlink_to("nowhere"),
    "circle-of-links": lambda path: path.symlink_to(path.name),
    "socket": _bind,
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES.keys())
@pytest.mark.parametrize("head", [False, True], ids=["get", "head"])
async def test_what_is_no_file_is_not_found(
    store: FileStore, make: Callable[[Path], object], head: bool
) -> None:
    # A socket's name must be short.
    here = Path.cwd()
    os.chdir(folder_of(store))
    try:
        make(Path("k"))
    finally:
        os.chdir(here)
    with pytest.raises(NotFound):
        await store.open("k", OpenRequest(head=head))


async def test_key_below_a_file_is_not_found(store: FileStore) -> None:
    with pytest.raises(NotFound):
        await store.open(f"{KEY}/below", OpenRequest())


async def test_links_are_followed(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"linked")
    (folder_of(store) / "link").symlink_to(tmp_path / "outside")
    assert await content_of(await store.open("link", OpenRequest())) == b"linked"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a//b",
        "/a",
        "a/",
        "../folder/k",
        "a/../k",
        "a/./k",
        "upload#12",
        "a\nb",
        "a\x7f",
        "a\0b",
        "n" * 300,
    ],
)
async def test_key_that_no_file_has_is_invalid(store: FileStore, key: str) -> None:
    with pytest.raises(InvalidKey):
        await store.open(key, OpenRequest())


@pytest.mark.parametrize(
    ("exc", "error"),
    [
        (FileNotFoundError(errno.ENOENT, ""), NotFound),
        (NotADirectoryError(errno.ENOTDIR, ""), NotFound),
        (IsADirectoryError(errno.EISDIR, ""), NotFound),
        (PermissionError(errno.EACCES, ""), Denied),
        (OSError(errno.EMFILE, ""), Unavailable),
        (OSError(errno.EIO, ""), Unavailable),
        (TimeoutError(errno.ETIMEDOUT, ""), Unavailable),
    ],
)
def test_failure_of_the_system_is_one_of_ours(exc: OSError, error: type[SourceError]) -> None:
    ours = by_table(ERRORS, exc, "what")
    assert type(ours) is error
    assert exc.errno is not None
    assert str(ours).endswith(f" {errno.errorcode[exc.errno]}")


async def test_conditions_are_decided_without_a_body(store: FileStore) -> None:
    etag = found(await store.open(KEY, OpenRequest(head=True))).metadata.etag
    assert etag is not None
    current = await store.open(KEY, OpenRequest(conditions=Conditions(if_none_match=ETagList((etag,)))))
    other = Conditions(if_match=ETagList((ETag("other"),)))
    assert isinstance(current, NotModified)
    assert current.metadata.etag == etag
    assert await store.open(KEY, OpenRequest(conditions=other)) == PreconditionFailed()


# Where reads would wait: on file systems that cannot tell, everything is done in threads.


class Blocking(FileAccess):
    """Nothing is in memory, and the disk waits until `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []
        self.began, self.go = threading.Event(), threading.Event()
        self.failure: OSError | None = None

    def now(self, descriptor: int, size: int, position: int) -> bytes | None:
        return None

    def wait(self, descriptor: int, size: int, position: int) -> tuple[bytes, os.stat_result]:
        self.threads.append(threading.get_ident())
        self.began.set()
        self.go.wait(10)
        if self.failure is not None:
            raise self.failure
        return super().wait(descriptor, size, position)


def path_of(store: FileStore) -> bytes:
    return bytes(folder_of(store) / KEY)


def body_of(store: FileStore, access: FileAccess, span: Span | None = None) -> FileBody:
    return FileBody(OpenFile.of(path_of(store)), span or Span(0, len(CONTENT)), access, "what")


async def released() -> None:
    """Wait until threads and callbacks have closed what they were given; the fixture checks it."""
    for _ in range(500):
        if not open_files():
            return
        # What its threads have dropped obstore may let go of no sooner than it is called again.
        MemoryStore()
        await asyncio.sleep(0.01)
    pytest.fail(f"after 5 seconds, still open: {open_files()}")


async def test_what_is_not_in_memory_is_read_in_threads(store: FileStore) -> None:
    access = Blocking()
    access.go.set()
    body = body_of(store, access)
    assert await drain(body) == CONTENT
    assert threading.get_ident() not in access.threads
    await body.aclose()
    await released()


async def test_cancelled_read_keeps_its_descriptor_until_the_thread_is_done(store: FileStore) -> None:
    access = Blocking()
    body = body_of(store, access)
    reading = asyncio.create_task(body.read())  # type: ignore[arg-type]
    await asyncio.to_thread(access.began.wait)
    reading.cancel()
    await asyncio.wait((reading,))
    # Closing does not wait for the disk.
    await body.aclose()
    assert (body.is_closed, len(open_files())) == (True, 1)
    access.go.set()
    await released()


async def test_body_that_is_closed_while_its_last_bytes_are_read_is_closed_once(store: FileStore) -> None:
    access, closed = Blocking(), []
    access.close = closed.append  # type: ignore[method-assign]
    body = body_of(store, access, Span(0, SMALL))
    reading = asyncio.create_task(body.read())  # type: ignore[arg-type]
    await asyncio.to_thread(access.began.wait)
    await body.aclose()
    access.go.set()
    assert await reading == CONTENT[:SMALL]
    # Another file may have its descriptor by now.
    assert len(closed) == 1
    closed[0].close()
    await released()


async def test_read_that_fails_in_a_thread_breaks_the_body(store: FileStore) -> None:
    access = Blocking()
    access.failure = OSError(errno.EIO, "disk")
    access.go.set()
    body = body_of(store, access)
    with pytest.raises(BrokenBody):
        await body.read()
    await body.aclose()
    await released()


async def test_small_file_is_one_chunk_and_large_ones_begin_small(store: FileStore) -> None:
    small, large = body_of(store, FileAccess(), Span(5, 5 + SMALL)), body_of(store, FileAccess())
    assert bytes(await small.read()) == CONTENT[5 : 5 + SMALL]
    assert len(await large.read()) < SMALL
    for body in (small, large):
        await body.aclose()


class Untold(FileAccess):
    """A kernel that says of what is not in memory that there is nothing, as Linux 5.10 does."""

    def now(self, descriptor: int, size: int, position: int) -> bytes | bytearray | None:
        # Behind its end a file has nothing, as that kernel says of all that it would have to wait for.
        return super().now(descriptor, size, position + len(CONTENT))


async def test_nothing_in_memory_is_no_end(store: FileStore) -> None:
    body = body_of(store, Untold())
    assert await drain(body) == CONTENT
    await body.aclose()
    await released()


def test_file_system_that_cannot_tell_is_not_asked_again() -> None:
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        pytest.skip("there is no file system in memory")
    path = memory / f"sluicegate-{os.getpid()}"
    path.write_bytes(b"content")
    try:
        file, access = OpenFile.of(bytes(path)), FileAccess()
        first = access.now(file.descriptor, 7, 0)
        # Newer kernels may be able to tell there too.
        assert (first, access.is_at_once) in ((None, False), (b"content", True))
        assert access.wait(file.descriptor, 7, 0)[0] == b"content"
        assert access.now(file.descriptor, 7, 0) == first
        file.close()
    finally:
        path.unlink()


class Disk:
    """Opens files at a speed that the test chooses, on a clock of its own."""

    def __init__(self) -> None:
        self.time, self.takes = 0.0, 0.0
        self.leased = 0
        self.in_threads: list[bool] = []

    def open(self, path: bytes) -> OpenFile:
        self.in_threads.append(threading.current_thread() is not threading.main_thread())
        self.time += self.takes
        if self.leased:
            self.leased -= 1
            raise BlockingIOError(errno.EAGAIN, "leased")
        return OpenFile.of(path)

    async def opens_in_thread(self, access: FileAccess, path: bytes) -> bool:
        file = await access.open(path)
        # Read once, for it is by reading that a file system shows that it can tell.
        access.now(file.descriptor, 1, 0)
        access.close(file)
        return self.in_threads[-1]


async def test_files_are_opened_in_threads_until_their_disk_is_known_and_while_it_is_slow(
    store: FileStore,
) -> None:
    disk = Disk()
    access = FileAccess(disk.open, lambda: disk.time)
    path = path_of(store)
    first = await disk.opens_in_thread(access, path)
    if not access.is_at_once:
        pytest.skip("the file system of the tests cannot tell what is in memory")
    assert (first, await disk.opens_in_thread(access, path)) == (True, False)
    disk.takes = 2 * SLOW_SECONDS
    assert await disk.opens_in_thread(access, path) is False
    disk.takes = 0.0
    assert await disk.opens_in_thread(access, path) is True
    disk.time += SLOW_FOR_SECONDS
    assert await disk.opens_in_thread(access, path) is False
    await released()


async def test_file_that_is_leased_is_waited_for_in_a_thread(store: FileStore) -> None:
    disk = Disk()
    access = FileAccess(disk.open, lambda: disk.time)
    await disk.opens_in_thread(access, path_of(store))
    disk.leased = 3
    assert await disk.opens_in_thread(access, path_of(store)) is True
    assert disk.leased == 0
    await released()


def test_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.touch()
    os.mkfifo(pipe)
    before = os.stat(file)
    # It was a file when somebody looked.
    monkeypatch.setattr("sluicegate.sources.local_file.os.stat", lambda _: before)
    with pytest.raises(FileNotFoundError):
        OpenFile.of(bytes(pipe))


async def test_open_that_was_cancelled_in_a_thread_is_closed_there(store: FileStore) -> None:
    began, go, opened = (threading.Event() for _ in range(3))

    def slowly(path: bytes) -> OpenFile:
        began.set()
        go.wait(10)
        file = OpenFile.of(path)
        opened.set()
        return file

    opening = asyncio.create_task(FileAccess(slowly).open(path_of(store)))
    assert await asyncio.to_thread(began.wait, 20)
    opening.cancel()
    await asyncio.wait((opening,))
    go.set()
    assert await asyncio.to_thread(opened.wait, 20)
    await released()


async def test_two_event_loops_may_share_a_folder(store: FileStore) -> None:
    """Reads let other threads go on: what one loop reads must not be in what another one gets."""
    folder = folder_of(store)
    contents = {"A": b"A" * SMALL, "B": b"B" * SMALL}
    for name, content in contents.items():
        (folder / name).write_bytes(content)

    def read_often(name: str) -> bool:
        async def main() -> bool:
            return all(
                [
                    await content_of(await store.open(name, OpenRequest())) == contents[name]
                    for _ in range(300)
                ]
            )

        return asyncio.run(main())

    assert await asyncio.gather(*(asyncio.to_thread(read_often, name) for name in contents)) == [True, True]
    await released()
