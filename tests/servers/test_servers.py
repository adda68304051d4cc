"""Every server that the tests lean on starts, answers as expected, and is gone afterwards."""

import os
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from . import s3
from .asgi import SERVER_NAMES, ServerName, serve, serve_in_thread
from .httpbin import httpbin
from .nginx import nginx
from .process import ServerFailed, ServerMissing, answers, free_port, listens, running

TEN_MEGABYTES = os.urandom(10_000_000)

S3_SERVERS = [s3.juicefs, s3.seaweedfs, s3.rclone, s3.moto]


@contextmanager
def skipped_where_missing(server: AbstractContextManager[Any]) -> Iterator[Any]:
    try:
        running_server = server.__enter__()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    try:
        yield running_server
    finally:
        server.__exit__(None, None, None)


def environment_app() -> Starlette:
    """An application that says in which process it runs and what it was told."""

    async def show(_: Request) -> JSONResponse:
        return JSONResponse({"pid": os.getpid(), "told": os.environ.get("SLUICEGATE_TOLD")})

    return Starlette(routes=[Route("/", show)])


@pytest.mark.parametrize("server", S3_SERVERS, ids=lambda server: server.__name__)
def test_s3_server_keeps_ten_megabytes_and_serves_a_range(
    server: Callable[[], AbstractContextManager[s3.S3Server]],
) -> None:
    with skipped_where_missing(server()) as store:
        client = store.client()
        client.create_bucket(Bucket="images")
        client.put_object(Bucket="images", Key="test/1/image.jpg", Body=TEN_MEGABYTES)
        whole = client.get_object(Bucket="images", Key="test/1/image.jpg")
        part = client.get_object(Bucket="images", Key="test/1/image.jpg", Range="bytes=1000-1999")

        assert whole["Body"].read() == TEN_MEGABYTES
        assert whole["ETag"] == part["ETag"]
        assert part["Body"].read() == TEN_MEGABYTES[1000:2000]
        assert part["ContentRange"] == "bytes 1000-1999/10000000"
        assert refuses_wrong_secret(store) is store.verifies_signatures
    assert not psutil.pid_exists(store.pid)


def refuses_wrong_secret(store: s3.S3Server) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        store.client(secret_key="not the secret key").get_object(Bucket="images", Key="test/1/image.jpg")
    except ClientError as refusal:
        return bool(refusal.response["ResponseMetadata"]["HTTPStatusCode"] == 403)
    return False


def test_httpbin_serves_bytes_ranges_redirects_and_compression() -> None:
    with httpbin() as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/bytes/5000", params={"seed": 1}).content == (
            client.get("/stream-bytes/5000", params={"seed": 1}).content
        )
        part = client.get("/range/1000", headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.headers["content-range"], len(part.content)) == (
            206,
            "bytes 10-19/1000",
            10,
        )
        assert client.get("/status/418").status_code == 418
        assert client.get("/etag/abc", headers={"If-None-Match": '"abc"'}).status_code == 304
        assert client.get("/gzip").headers["content-encoding"] == "gzip"
        assert client.get("/redirect-to", params={"url": "/status/204"}).headers["location"] == "/status/204"


def test_httpbin_sends_a_slow_body_while_it_is_made() -> None:
    with httpbin() as url:
        # A client that is held up may find all of it at once: then it looks again.
        assert any(comes_while_it_is_made(url) for _ in range(10))


def comes_while_it_is_made(url: str) -> bool:
    """Whether the first byte came half a second before the last one, which is made a second later."""
    with httpx.stream("GET", f"{url}/drip?duration=1&numbytes=5&delay=0", trust_env=False) as answer:
        chunks = [(chunk, time.monotonic()) for chunk in answer.iter_raw()]
    assert b"".join(chunk for chunk, _ in chunks) == b"*" * 5
    return chunks[-1][1] - chunks[0][1] > 0.5


def test_nginx_serves_ranges_and_conditions(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(TEN_MEGABYTES)
    with skipped_where_missing(nginx(tmp_path)) as server:
        url = f"{server.url}/image.jpg"
        whole = httpx.get(url, trust_env=False)
        part = httpx.get(url, headers={"Range": "bytes=-10"}, trust_env=False)
        unchanged = httpx.get(url, headers={"If-None-Match": whole.headers["etag"]}, trust_env=False)
        changed = httpx.get(url, headers={"If-Match": '"other"'}, trust_env=False)
    assert (whole.content, whole.headers["content-type"]) == (TEN_MEGABYTES, "image/jpeg")
    assert (part.status_code, part.content) == (206, TEN_MEGABYTES[-10:])
    assert (unchanged.status_code, changed.status_code) == (304, 412)
    assert not psutil.pid_exists(server.pid)


def test_nginx_with_tls_is_trusted_through_its_authority(tmp_path: Path) -> None:
    (tmp_path / "greeting.txt").write_text("hello")
    with skipped_where_missing(nginx(tmp_path, tls=True)) as server:
        trust = ssl.create_default_context(cafile=server.ca_file)
        answer = httpx.get(f"{server.tls_url}/greeting.txt", verify=trust, trust_env=False)
    assert answer.text == "hello"


@pytest.mark.parametrize("name", SERVER_NAMES)
def test_application_is_served_by_a_child_process(name: ServerName) -> None:
    with serve(environment_app, name, env={"SLUICEGATE_TOLD": "this"}) as served:
        seen = httpx.get(served.url, trust_env=False).json()
        family = [served.pid, *(child.pid for child in psutil.Process(served.pid).children(recursive=True))]
    assert seen["told"] == "this"
    assert seen["pid"] in family
    assert [pid for pid in family if psutil.pid_exists(pid)] == []


def test_application_is_served_in_a_thread_with_its_lifespan() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        events.append("started")
        yield
        events.append("stopped")

    async def show(_: Request) -> JSONResponse:
        return JSONResponse({"pid": os.getpid()})

    app = Starlette(routes=[Route("/", show)], lifespan=lifespan)
    with serve_in_thread(app) as url:
        assert httpx.get(url, trust_env=False).json() == {"pid": os.getpid()}
        assert events == ["started"]
    assert events == ["started", "stopped"]


def test_application_whose_lifespan_fails_is_an_error() -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        raise RuntimeError("no database")
        yield

    with (
        pytest.raises(ServerFailed, match="did not start"),
        serve_in_thread(Starlette(lifespan=lifespan)),
    ):
        pass


def test_server_that_ends_at_once_is_reported_with_its_log() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such setting: colour')"]
    with pytest.raises(ServerFailed, match="no such setting: colour"), running(command, ready=lambda: False):
        pass


def test_server_that_never_answers_is_reported_and_ended(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    program = (
        "import pathlib, sys, time\n"
        "print('waiting', flush=True)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(60)"
    )

    def never_ready() -> bool:
        # However long it takes to begin: what it says by then is what is told.
        deadline = time.monotonic() + 20
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return False

    command = [sys.executable, "-c", program, str(begun)]
    with (
        pytest.raises(ServerFailed, match="waiting"),
        running(command, ready=never_ready, deadline_seconds=0.1),
    ):
        pass


def test_children_that_ignore_sigterm_are_ended_with_their_server() -> None:
    port = free_port()
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    program = (
        "import subprocess, sys, http.server\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[2]])\n"
        "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"
    )
    with running([sys.executable, "-c", program, str(port), stubborn], ready=answers(port)) as server:
        children = psutil.Process(server.pid).children()
        assert len(children) == 1
    assert psutil.wait_procs(children, timeout=20)[1] == []


def test_block_that_raises_ends_the_server() -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with pytest.raises(ZeroDivisionError), running(command, ready=listens(port)) as server:
        raise ZeroDivisionError
    assert not psutil.pid_exists(server.pid)
