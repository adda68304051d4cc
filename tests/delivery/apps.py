"""The application that the tests run under each server; `/stats/ID` tells what it did for `?id=ID`.

Started in a child process: addresses come from the environment (`STORE_URL`, `ORIGIN_URL` …).
"""

import array
import asyncio
import gc
import gzip
import io
import logging
import os
import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiobotocore.config
import aiobotocore.session
import aiohttp
import anyio
import boto3
import botocore.config
import httpx
import obstore
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from sluicegate import (
    ObjectResponse,
    StoreOptions,
    StreamResponse,
    TransferRecord,
    errors,
    object_route,
    open_http,
    open_store,
)

from .fakes import CHUNK, FOREVER, AsyncChunks, Chunks, Ledger, ScriptedSource
from .origin import SECRET

STORE_URL = os.environ.get("STORE_URL", "http://127.0.0.1:9")
ORIGIN_URL = os.environ.get("ORIGIN_URL", "http://127.0.0.1:9")
BUCKET = "delivery"
KEYS = {
    "aws_access_key_id": os.environ.get("STORE_ACCESS_KEY", "nobody"),
    "aws_secret_access_key": os.environ.get("STORE_SECRET_KEY", "nothing"),
}
CHECKSUMS = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "s3": {"addressing_style": "path"},
}


class _Errors(logging.Handler):
    """Keeps what is logged as an error, by anybody, until it is asked for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info[1] if record.exc_info else None
        self.lines.append(f"{record.name}: {record.getMessage().strip()} {failure!r}")


ERRORS = _Errors()
LOGGERS = ("", "uvicorn", "_granian")
"""uvicorn's and granian's pass nothing on to the root."""

LEDGERS: defaultdict[str, Ledger] = defaultdict(Ledger)
SENDS: Counter[str] = Counter()


# Sources: opened with the application, as users are told to.


def _options(endpoint_url: str, **more: Any) -> StoreOptions:
    return StoreOptions(
        endpoint_url=endpoint_url,
        region="us-east-1",
        access_key_id=KEYS["aws_access_key_id"],
        secret_access_key=KEYS["aws_secret_access_key"],
        attempts=1,
        **more,
    )


SOURCES: dict[str, Any] = {
    "memory": open_store("memory://"),
    **{
        f"{place}-{client}": open_store(
            f"s3://{BUCKET}", _options(url, read_timeout=read_timeout), client=client
        )
        for place, url, read_timeout in (
            ("store", STORE_URL, 30.0),
            ("origin", ORIGIN_URL, 30.0),
            ("slow", ORIGIN_URL, 0.3),
        )
        for client in ("obstore", "aiobotocore", "botocore")
    },
    "origin-http": open_http(ORIGIN_URL),
    "unreachable": open_store(f"s3://{BUCKET}", _options("http://127.0.0.1:9", connect_timeout=1.0)),
}

FAILURES: dict[str, BaseException] = {
    "missing": errors.NotFound(SECRET),
    "bad-key": errors.InvalidKey(SECRET),
    "denied": errors.Denied(SECRET),
    "unavailable": errors.Unavailable(SECRET),
    "bad-answer": errors.BadAnswer(SECRET),
    "throttled": errors.Throttled(SECRET),
    "throttled-for": errors.Throttled(SECRET, retry_after_seconds=6.5),
    "timeout": errors.OriginTimeout(SECRET),
    "broken": errors.BrokenBody(SECRET),
    "bug": RuntimeError(SECRET),
}

CLIENTS: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    for name in LOGGERS:
        logging.getLogger(name).addHandler(ERRORS)
    async with AsyncExitStack() as stack:
        for source in SOURCES.values():
            await stack.enter_async_context(source)
        session = aiobotocore.session.get_session()
        for place, url in (("store", STORE_URL), ("origin", ORIGIN_URL)):
            common = {"endpoint_url": url, "region_name": "us-east-1", **KEYS}
            CLIENTS[f"aiobotocore-{place}"] = await stack.enter_async_context(
                session.create_client("s3", config=aiobotocore.config.AioConfig(**CHECKSUMS), **common)
            )
            CLIENTS[f"botocore-{place}"] = boto3.client(
                "s3", config=botocore.config.Config(**CHECKSUMS), **common
            )
            CLIENTS[f"obstore-{place}"] = obstore.store.S3Store(
                BUCKET,
                endpoint=url,
                access_key_id=KEYS["aws_access_key_id"],
                secret_access_key=KEYS["aws_secret_access_key"],
                region="us-east-1",
                client_options={"allow_http": True},
            )
        CLIENTS["aiohttp"] = await stack.enter_async_context(aiohttp.ClientSession())
        CLIENTS["aiohttp-raw"] = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        CLIENTS["httpx"] = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        CLIENTS["httpx-sync"] = stack.enter_context(httpx.Client(timeout=30))
        yield


# StreamResponse: what is made here.


async def numbers(count: int) -> AsyncIterator[str]:
    for number in range(count):
        yield f"{number}\n"


def numbers_in_thread(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"%d\n" % number


def reused_buffer() -> Iterator[bytearray]:
    """As readers do that fill one buffer again and again."""
    buffer = bytearray(4)
    for number in range(300):
        buffer[:] = b"%04d" % number
        yield buffer


async def reused_buffer_async() -> AsyncIterator[memoryview]:
    buffer = bytearray(4)
    for number in range(300):
        buffer[:] = b"%04d" % number
        yield memoryview(buffer)


def failing(after: int) -> Iterator[bytes]:
    yield from [CHUNK] * after
    raise RuntimeError("the iterator failed")


async def failing_async(after: int) -> AsyncIterator[bytes]:
    for _ in range(after):
        yield CHUNK
    raise RuntimeError("the iterator failed")


class Plain(list[bytes]):
    """An iterable that is no iterator."""


# Named by what they are; each makes a new content, and the arguments of the response beside it.
CASES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "async-generator": lambda: (numbers(500), {}),
    "sync-generator": lambda: (numbers_in_thread(500), {}),
    "list": lambda: (Plain([b"one", b"two"]), {}),
    "nothing": lambda: (iter(()), {}),
    "empty-chunks": lambda: (iter((b"", b"a", b"", b"b", b"")), {}),
    "str": lambda: (iter(("Grüße, ", "日本")), {}),
    "memoryview": lambda: (iter((memoryview(b"abcdef")[1:4], memoryview(b"xyz"))), {}),
    "media-type": lambda: (iter(("a",)), {"media_type": "text/plain"}),
    "media-type-with-charset": lambda: (iter(("a",)), {"media_type": "text/html; charset=utf-8"}),
    "binary-media-type": lambda: (iter((b"a",)), {"media_type": "image/png"}),
    "type-in-headers": lambda: (
        iter((b"a",)),
        {"headers": {"Content-Type": "image/gif"}, "media_type": "text/plain"},
    ),
    "own-headers": lambda: (iter((b"a",)), {"headers": {"X-One": "1", "Content-Length": "1", "ETag": '"e"'}}),
    "created": lambda: (iter((b"a",)), {"status_code": 201}),
    "not-found": lambda: (iter((b"none",)), {"status_code": 404, "media_type": "text/plain"}),
    "no-content": lambda: (iter(()), {"status_code": 204}),
    "one-big-chunk": lambda: (iter((bytes(range(256)) * 8192,)), {}),
    "many-small-chunks": lambda: (iter([b"0123456789"] * 5_000), {}),
    "failing-at-once": lambda: (failing(0), {}),
    "failing-at-once-async": lambda: (failing_async(0), {}),
}

# What Starlette's own response cannot take.
MORE_CASES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "bytearray": lambda: (iter((bytearray(b"ab"), bytearray(b"cd"))), {}),
    "array": lambda: (iter((array.array("H", [1, 2, 3]),)), {}),
    "reused-buffer": lambda: (reused_buffer(), {}),
    "reused-buffer-async": lambda: (reused_buffer_async(), {}),
    "obstore-bytes": lambda: (iter((obstore.Bytes(b"obstore"), obstore.Bytes(b" bytes"))), {}),
    "bytes": lambda: (b"whole", {}),
    "whole-memoryview": lambda: (memoryview(bytes(3_000_000)), {}),
    "text": lambda: ("Grüße", {"media_type": "text/plain"}),
    "latin-1": lambda: (iter(("Grüße",)), {"media_type": "text/plain"}),
}


class Latin1Response(StreamResponse):
    charset = "latin-1"


class Latin1StreamingResponse(StreamingResponse):
    charset = "latin-1"


async def case(request: Request) -> Response:
    name = request.path_params["name"]
    content, arguments = {**CASES, **MORE_CASES}[name]()
    ours = request.path_params["whose"] == "ours"
    if name == "latin-1":
        return (Latin1Response if ours else Latin1StreamingResponse)(content, **arguments)
    return (StreamResponse if ours else StreamingResponse)(content, **arguments)


SCRIPTS: dict[str, Callable[[Ledger], Any]] = {
    "endless": lambda ledger: AsyncChunks(ledger, CHUNK, endless=True),
    "endless-thread": lambda ledger: Chunks(ledger, CHUNK, endless=True),
    "stall-first": lambda ledger: AsyncChunks(ledger, FOREVER),
    "stall-later": lambda ledger: AsyncChunks(ledger, CHUNK, FOREVER),
    "two-chunks": lambda ledger: AsyncChunks(ledger, CHUNK, CHUNK),
    "two-chunks-thread": lambda ledger: Chunks(ledger, CHUNK, CHUNK),
    "fail-first": lambda ledger: AsyncChunks(ledger, RuntimeError("failed on purpose")),
    "fail-first-thread": lambda ledger: Chunks(ledger, RuntimeError("failed on purpose")),
    "fail-later": lambda ledger: AsyncChunks(ledger, CHUNK, CHUNK, RuntimeError("failed on purpose")),
    "fail-later-thread": lambda ledger: Chunks(ledger, CHUNK, CHUNK, RuntimeError("failed on purpose")),
}


async def script(request: Request) -> Response:
    """`/script/NAME?id=ID&length=N`: a scripted body, with a Content-Length if one is asked for."""
    ledger = LEDGERS[request.query_params["id"]]
    length = request.query_params.get("length")
    return StreamResponse(
        SCRIPTS[request.path_params["name"]](ledger),
        headers=None if length is None else {"content-length": length},
        media_type=request.query_params.get("type"),
        background=BackgroundTask(ledger.run_background),
    )


def _pipe(content: bytes) -> Any:
    """The reading end of a pipe that a thread fills."""
    reading, writing = os.pipe()

    def fill() -> None:
        # Whoever reads may leave.
        with suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as file:
            for start in range(0, len(content), 65_536):
                file.write(content[start : start + 65_536])

    threading.Thread(target=fill, daemon=True).start()
    return os.fdopen(reading, "rb")


async def _async_file(path: str) -> Any:
    return await anyio.open_file(path, "rb")


async def file(request: Request) -> Response:
    """`/file/KIND?path=P&id=ID`: a file as content."""
    path = Path(request.query_params["path"])
    kind = request.path_params["kind"]
    match kind:
        case "open":
            content: Any = path.open("rb")
        case "unbuffered":
            content = path.open("rb", buffering=0)
        case "bytesio":
            content = io.BytesIO(path.read_bytes())
        case "half-read":
            content = path.open("rb")
            content.seek(path.stat().st_size // 2)
        case "pipe":
            content = _pipe(path.read_bytes())
        case "gzip":
            content = gzip.open(path)  # noqa: SIM115
        case "async":
            content = await _async_file(str(path))
    ledger = LEDGERS[request.query_params["id"]]
    _count_closes(content, ledger)
    return StreamResponse(content)


def _count_closes(content: Any, ledger: Ledger) -> None:
    if isinstance(content, anyio.AsyncFile):
        content = content.wrapped
    LATER.append((content, ledger))


LATER: list[tuple[Any, Ledger]] = []


async def library(request: Request) -> Response:
    """`/library/CLIENT/PLACE/KEY`: the body that a client library returned, as content."""
    client, place, key = (request.path_params[name] for name in ("client", "place", "key"))
    match client:
        case "aiobotocore":
            result = await CLIENTS[f"aiobotocore-{place}"].get_object(Bucket=BUCKET, Key=key)
            return StreamResponse(result["Body"])
        case "botocore":
            get = CLIENTS[f"botocore-{place}"].get_object
            result = await asyncio.to_thread(get, Bucket=BUCKET, Key=key)
            return StreamResponse(result["Body"])
        case "obstore":
            return StreamResponse(await obstore.get_async(CLIENTS[f"obstore-{place}"], key))
    url = request.query_params.get("url") or f"{ORIGIN_URL}/{key}"
    match client:
        case "aiohttp" | "aiohttp-raw":
            return StreamResponse(await CLIENTS[client].get(aiohttp.client.URL(url, encoded=True)))
        case "aiohttp-reader":
            answer = await CLIENTS["aiohttp"].get(aiohttp.client.URL(url, encoded=True))
            request.state.answer = answer
            return StreamResponse(answer.content)
        case "httpx":
            opened = CLIENTS["httpx"].build_request("GET", url)
            return StreamResponse(await CLIENTS["httpx"].send(opened, stream=True))
        case "httpx-sync":
            opened = CLIENTS["httpx-sync"].build_request("GET", url)
            answer = await asyncio.to_thread(CLIENTS["httpx-sync"].send, opened, stream=True)
            return StreamResponse(answer)
        case "urllib":
            return StreamResponse(await asyncio.to_thread(urllib.request.urlopen, url, timeout=30))
    raise LookupError(client)


async def logged(_: Request) -> Response:
    """What was logged as an error since this was asked for last."""
    gc.collect()
    lines, ERRORS.lines = ERRORS.lines, []
    return JSONResponse(lines)


async def stats(request: Request) -> Response:
    name = request.path_params["id"]
    ledger = asdict(LEDGERS[name])
    threads = sum(thread.name == "sluicegate-body" for thread in threading.enumerate())
    files_open = sum(not content.closed for content, noted in LATER if noted is LEDGERS[name])
    return JSONResponse({**ledger, "sends": SENDS[name], "threads": threads, "files_open": files_open})


# ObjectResponse: as a FastAPI path operation, as a Starlette endpoint, and alone.

app = FastAPI(lifespan=lifespan)

TEXT = "text.txt"


@app.put("/memory/{key:path}")
async def put(key: str, request: Request) -> None:
    await obstore.put_async(SOURCES["memory"].source.client, key, await request.body())


@object_route(app, "/fastapi/{source}/{key:path}")
async def fastapi_object(source: str, key: str) -> ObjectResponse:
    return ObjectResponse(SOURCES[source], key)


def _own_client() -> Iterator[httpx.Client]:
    """What the naive way does: a client for each request, closed by the dependency."""
    with httpx.Client() as client:
        yield client


@app.get("/dependency/{name}")
def with_dependency(name: str, url: str, client: httpx.Client = Depends(_own_client)) -> Any:  # noqa: B008
    return StreamResponse(client.send(client.build_request("GET", url), stream=True))


async def starlette_object(request: Request) -> Response:
    return ObjectResponse(SOURCES[request.path_params["source"]], request.path_params["key"])


async def asgi_object(scope: Any, receive: Any, send: Any) -> None:
    """`/SOURCE/KEY` below a mount: an object as an application of its own."""
    source, _, key = scope["path"].removeprefix(scope["root_path"]).lstrip("/").partition("/")
    await ObjectResponse(SOURCES[source], key)(scope, receive, send)


async def decorated_object(request: Request) -> Response:
    """An object with everything that a route may say of its answers."""
    response = ObjectResponse(
        SOURCES["memory"],
        request.path_params["key"],
        filename=request.query_params.get("filename"),
        disposition=request.query_params.get("disposition"),  # type: ignore[arg-type]
        media_type=request.query_params.get("media_type"),
        cache_control="private, max-age=5",
        headers={"X-Own": "yes", "Content-Language": "de"},
    )
    response.set_cookie("seen", "1")
    return response


async def typed_object(request: Request) -> Response:
    return ObjectResponse(
        SOURCES["memory"], request.path_params["key"], headers={"Content-Type": "text/x-own"}
    )


async def scripted_object(request: Request) -> Response:
    """`/scripted/NAME?id=ID`: an object whose source or body fails, or stalls."""
    ledger, name = LEDGERS[request.query_params["id"]], request.path_params["name"]
    source = _scripted(name, ledger)
    background = BackgroundTask(ledger.run_background)
    denied = int(request.query_params.get("denied", "404"))
    return ObjectResponse(source, "key", denied_status=denied, background=background)


def _scripted(name: str, ledger: Ledger) -> ScriptedSource:
    if name in FAILURES:
        return ScriptedSource(failure=FAILURES[name], ledger=ledger)
    broken = errors.BrokenBody(SECRET)
    size = 2 * len(CHUNK)
    return {
        "stall-open": ScriptedSource(stalls=True, ledger=ledger),
        "stall-first": ScriptedSource((FOREVER,), size, ledger=ledger),
        "stall-later": ScriptedSource((CHUNK, FOREVER), size, ledger=ledger),
        "fail-first": ScriptedSource((broken,), size, ledger=ledger),
        "fail-later": ScriptedSource((CHUNK, broken), size, ledger=ledger),
        "fail-later-unsized": ScriptedSource((CHUNK, broken), ledger=ledger),
        "bug-later": ScriptedSource((CHUNK, RuntimeError(SECRET)), size, ledger=ledger),
        "bug-later-unsized": ScriptedSource((CHUNK, RuntimeError(SECRET)), ledger=ledger),
        "empty": ScriptedSource((), size, ledger=ledger),
        "short": ScriptedSource((CHUNK,), size, ledger=ledger),
        "long": ScriptedSource((CHUNK, CHUNK, b"x"), size, ledger=ledger),
        "long-at-once": ScriptedSource((CHUNK * 3,), size, ledger=ledger),
        "whole": ScriptedSource((CHUNK, CHUNK), size, ledger=ledger),
        "unsized": ScriptedSource((CHUNK, CHUNK), ledger=ledger),
    }[name]


RECORDS: defaultdict[str, list[TransferRecord]] = defaultdict(list)
PACED_SIZE = 1000 * len(CHUNK)


async def paced_object(request: Request) -> Response:
    """`/paced?id=ID&rate=N&seconds=N`: a large object, for clients that take at least so much."""
    query = request.query_params
    return ObjectResponse(
        ScriptedSource((CHUNK,) * 1000, PACED_SIZE, ledger=LEDGERS[query["id"]]),
        "key",
        observe=RECORDS[query["id"]].append,
        min_drain_rate=int(query["rate"]),
        min_drain_seconds=float(query["seconds"]),
    )


async def records(request: Request) -> Response:
    """The outcomes of `/paced` so far."""
    return JSONResponse([record.outcome.value for record in RECORDS[request.path_params["id"]]])


async def _pass_on(request: Request, call_next: Any) -> Response:
    answer: Response = await call_next(request)
    return answer


def _wrapped(*routes: Mount, inner: tuple[Middleware, ...] = ()) -> Starlette:
    """The scripted routes below a middleware that reads the answer and makes another of it."""
    scripts = (Route("/script/{name}", script), Route("/scripted/{name}", scripted_object))
    return Starlette(
        routes=[*routes, *scripts], middleware=[Middleware(BaseHTTPMiddleware, dispatch=_pass_on), *inner]
    )


class HandOn:
    """A middleware that hands on heads and bodies, and nothing that it does not know."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def hand_on(message: Any) -> None:
            if message["type"] in ("http.response.start", "http.response.body"):
                await send(message)

        await self._app(scope, receive, hand_on)


app.router.routes += [
    Route("/stats/{id}", stats),
    Route("/logged", logged),
    Route("/case/{whose}/{name}", case),
    Route("/script/{name}", script),
    Route("/file/{kind}", file),
    Route("/library/{client}/{place}/{key:path}", library),
    Route("/starlette/{source}/{key:path}", starlette_object, methods=["GET", "HEAD", "OPTIONS"]),
    Route("/decorated/{key:path}", decorated_object),
    Route("/typed/{key:path}", typed_object),
    Route("/scripted/{name}", scripted_object),
    Route("/paced", paced_object),
    Route("/records/{id}", records),
    Mount("/asgi", asgi_object),
    Mount("/alone", ObjectResponse(SOURCES["memory"], TEXT)),
    Mount("/wrapped", _wrapped(Mount("/twice", _wrapped()))),
    Mount("/handed", _wrapped(inner=(Middleware(HandOn),))),
    Mount("/compressed", _wrapped(inner=(Middleware(GZipMiddleware),))),
]


class CountSends:
    """Counts the messages with content that one request took."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope.get("query_string", b"").decode()
        name = dict(pair.partition("=")[::2] for pair in query.split("&")).get("id", "")

        async def counting(message: Any) -> None:
            if message["type"] == "http.response.body" and message.get("body"):
                SENDS[name] += 1
            await send(message)

        await self._inner(scope, receive, counting)


app.add_middleware(CountSends)  # type: ignore[arg-type]
