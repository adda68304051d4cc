"""S3 through aiobotocore, for applications that already run it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Self

import botocore.exceptions as boto
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession

from sluicegate.errors import SourceError
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
from sluicegate.sources.base import EmptyBody, Found, OpenOutcome, OpenRequest
from sluicegate.sources.http import AIOHTTP_ERRORS, POOL_SECONDS, AiohttpBody
from sluicegate.sources.http import translate as translate_aiohttp
from sluicegate.sources.lifetime import Lifetime
from sluicegate.sources.options import DEFAULT_OPTIONS, BadOptions, StoreOptions, parse_location
from sluicegate.trust import client_context


class AiobotocoreSource(AbstractAsyncContextManager["AiobotocoreSource"]):
    """A source on an S3 bucket (`s3://bucket` or `s3://bucket/prefix`) through aiobotocore.

    `client` is aiobotocore's own S3 client while the source is open.
    """

    def __init__(self, url: str, options: StoreOptions = DEFAULT_OPTIONS) -> None:
        self.location = parse_location(url)
        if self.location.scheme != "s3":
            raise BadOptions(f"{url!r}: aiobotocore reads s3:// only")
        self._options = options
        self._lifetime = Lifetime(str(self.location))
        self._stack = AsyncExitStack()
        self.client: Any = None

    async def __aenter__(self) -> Self:
        """Make the client, once: it costs tens of milliseconds."""
        with self._lifetime.entering():
            await self._make_client()
        return self

    async def _make_client(self) -> None:
        await asyncio.to_thread(client_context, self._options.tls_verify, BadOptions)
        session = AioSession(profile=self._options.profile)
        config = AioConfig(http_session_cls=_BoundedSession, **client_settings(self._options))
        try:
            share_models(session)
            context = session.create_client("s3", config=config, **client_arguments(session, self._options))
            self.client = await self._stack.enter_async_context(context)
        except (boto.BotoCoreError, ValueError) as exc:
            raise BadOptions(f"{self.location}: {exc}") from exc
        ask_for_region_once(self.client)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client and its connections."""
        self._lifetime.leave()
        self.client = None
        await self._stack.aclose()

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the bucket for `key`."""
        if self.client is None:
            raise self._lifetime.closed()
        self._lifetime.check_loop()
        what = f"{self.location} {key!r}"
        arguments = parameters(self.location, key, request)
        try:
            if request.head:
                response = await self.client.head_object(**arguments)
            else:
                response = await self.client.get_object(**arguments)
        except boto.ClientError as exc:
            return outcome_of(exc, what)
        except BOTO_ERRORS as exc:
            raise _translate(exc, what) from exc
        except AIOHTTP_ERRORS as exc:
            # Of an answer whose own content is an error, aiobotocore lets these through.
            raise translate_aiohttp(exc, what) from exc
        return _found(response, what)


class _BoundedSession(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's way to send requests, but for redirects and for waiting.

    It would follow redirects to any host, and wait for ever for one of its connections to be free.
    """

    async def _get_session(self, proxy_url: str | None) -> Any:
        limits = self._timeout
        timeout = type(limits)(
            connect=limits.sock_connect + POOL_SECONDS,
            sock_connect=limits.sock_connect,
            sock_read=limits.sock_read,
        )
        return _BoundedRequests(await super()._get_session(proxy_url), timeout)


class _BoundedRequests:
    """An aiohttp session that hands out redirects as the answers that they are, within `timeout`."""

    def __init__(self, session: Any, timeout: Any) -> None:
        self._session = session
        self._timeout = timeout

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        bounds = {"allow_redirects": False, "timeout": self._timeout}
        return await self._session.request(*args, **{**bounds, **kwargs})


def _translate(exc: Exception, what: str) -> SourceError:
    """Our error for one of aiobotocore's: what it found no name for, aiohttp has one for."""
    cause = getattr(exc, "kwargs", {}).get("error") if type(exc) is boto.HTTPClientError else None
    if isinstance(cause, AIOHTTP_ERRORS):
        return translate_aiohttp(cause, what)
    return translate(exc, what)


def raw_response(stream: Any) -> Any:
    """The aiohttp response behind an aiobotocore `StreamingBody`, which was a proxy of it before 3.1."""
    return getattr(stream, "raw_stream", None) or stream.__wrapped__


def _found(response: dict[str, Any], what: str) -> Found:
    stream = response.get("Body")
    try:
        metadata, span = describe_response(response, what)
    except BaseException:
        if stream is not None:
            stream.close()
        raise
    body = EmptyBody() if stream is None else AiohttpBody(raw_response(stream), what)
    return Found(metadata, span, body)
