"""S3 through botocore, which is synchronous: threads make the requests and read the bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import botocore.exceptions as boto
import botocore.session
from botocore.config import Config
from urllib3.exceptions import HTTPError

from sluicegate.sources.aws import (
    BOTO_ERRORS,
    ask_for_region_once,
    client_arguments,
    client_settings,
    describe_response,
    outcome_of,
    parameters,
    share_models,
    translate,
)
from sluicegate.sources.base import Body, Chunk, EmptyBody, Found, OpenOutcome, OpenRequest
from sluicegate.sources.botocore_calls import WaitingCall, make_interruptible, shut_down
from sluicegate.sources.lifetime import Lifetime
from sluicegate.sources.options import DEFAULT_OPTIONS, BadOptions, StoreOptions, parse_location
from sluicegate.sources.threads import ThreadBody
from sluicegate.sources.translation import as_break
from sluicegate.trust import client_context

WHOLE_BYTES: Final = 64 * 1024
"""Bodies up to this length are read by the thread that opened them: one hop, and no second thread."""

READ_SIZE: Final = 256 * 1024
"""Bytes in one read of a body: more gains nothing, less costs more turns of the interpreter lock."""


class BotocoreSource(AbstractAsyncContextManager["BotocoreSource"]):
    """A source on an S3 bucket (`s3://bucket` or `s3://bucket/prefix`) through botocore.

    The event loop never waits for it. `client` is botocore's own S3 client while the source is open.
    """

    def __init__(self, url: str, options: StoreOptions = DEFAULT_OPTIONS) -> None:
        self.location = parse_location(url)
        if self.location.scheme != "s3":
            raise BadOptions(f"{url!r}: botocore reads s3:// only")
        self._options = options
        self._lifetime = Lifetime(str(self.location))
        self._threads: ThreadPoolExecutor | None = None
        self.client: Any = None

    async def __aenter__(self) -> Self:
        """Make the client, once: it costs tens of milliseconds, in a thread."""
        with self._lifetime.entering():
            try:
                self.client = await asyncio.to_thread(self._make_client)
            except (boto.BotoCoreError, ValueError) as exc:
                raise BadOptions(f"{self.location}: {exc}") from exc
        # As many as there may be connections: a thread that waits for an answer cannot be stopped, and
        # those whose caller has gone must not hold up the others. Bodies have threads of their own.
        self._threads = ThreadPoolExecutor(self._options.max_connections, "sluicegate-botocore")
        return self

    def _make_client(self) -> Any:
        client_context(self._options.tls_verify, BadOptions)
        session = botocore.session.Session(profile=self._options.profile)
        share_models(session)
        config = Config(**client_settings(self._options))
        client = session.create_client("s3", config=config, **client_arguments(session, self._options))
        ask_for_region_once(client)
        make_interruptible(client)
        return client

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client and its connections."""
        self._lifetime.leave()
        client, self.client = self.client, None
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        if client is not None:
            client.close()

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the bucket for `key`, in a thread."""
        if self._threads is None:
            raise self._lifetime.closed()
        waiting = WaitingCall()
        call = self._threads.submit(self._open, key, request, waiting)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            waiting.interrupt()
            # It may have opened something all the same, which has nobody to close it but this.
            call.add_done_callback(_discard)
            raise
        finally:
            # What the call failed with holds this frame, and the call holds that.
            del call

    def _open(self, key: str, request: OpenRequest, waiting: WaitingCall) -> OpenOutcome:
        with waiting:
            return self._ask(key, request)

    def _ask(self, key: str, request: OpenRequest) -> OpenOutcome:
        what = f"{self.location} {key!r}"
        arguments = parameters(self.location, key, request)
        method: Callable[..., dict[str, Any]] = (
            self.client.head_object if request.head else self.client.get_object
        )
        try:
            response = method(**arguments)
        except boto.ClientError as exc:
            return outcome_of(exc, what)
        except (*BOTO_ERRORS, HTTPError, OSError) as exc:
            raise translate(exc, what) from exc
        return _found(response, what)


class _ReadBody:
    """A body that was read when it was opened."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> Chunk:
        content, self._content = self._content, b""
        return content

    async def aclose(self) -> None:
        self._content = b""


def _found(response: dict[str, Any], what: str) -> Found:
    stream = response.get("Body")
    if stream is None:
        return Found(*describe_response(response, what), EmptyBody())
    try:
        metadata, span = describe_response(response, what)
        body: Body
        if response.get("ContentLength", WHOLE_BYTES + 1) <= WHOLE_BYTES:
            body = _ReadBody(b"".join(_chunks(stream, what)))
            stream.close()
        else:
            body = stream_body(stream, what)
    except BaseException:
        stream.close()
        raise
    return Found(metadata, span, body)


def stream_body(stream: Any, what: str) -> ThreadBody:
    """A botocore `StreamingBody` as a body."""
    return ThreadBody(_chunks(stream, what), stream.close, partial(_interrupt, stream))


def _chunks(stream: Any, what: str) -> Iterator[bytes]:
    """The bytes of a `StreamingBody`, which checks them against their length."""
    try:
        while chunk := stream.read(READ_SIZE):
            yield chunk
    except (boto.BotoCoreError, HTTPError, OSError) as exc:
        raise as_break(translate(exc, what)) from exc


def _interrupt(stream: Any) -> None:
    """Wake a thread that is blocked in a read of `stream`, and let go of the store."""
    # Not every stream has a connection: it may have ended meanwhile.
    with suppress(AttributeError):
        shut_down(stream._raw_stream._connection)


def _discard(call: Future[OpenOutcome]) -> None:
    if call.cancelled() or call.exception() is not None:
        return
    outcome = call.result()
    if isinstance(outcome, Found) and isinstance(outcome.body, ThreadBody):
        outcome.body.discard()
