"""Object stores through obstore: `s3://`, `gs://`, `az://`, `file://`, `memory://`."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import quote, urlsplit

import obstore
from obstore import exceptions, store

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    Denied,
    InvalidKey,
    NotFound,
    SourceError,
    Unavailable,
)
from sluicegate.http.conditions import Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.fields import safe_value
from sluicegate.http.media_types import media_type_of
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, RangeSpec, Span, Suffix
from sluicegate.http.validators import origin_etag, to_http_seconds
from sluicegate.sources.aws_settings import S3Settings, s3_settings
from sluicegate.sources.base import (
    CHUNK_SIZE,
    SMALL,
    Chunk,
    EmptyBody,
    Found,
    OpenOutcome,
    OpenRequest,
    check_key,
)
from sluicegate.sources.lifetime import Lifetime
from sluicegate.sources.obstore_texts import cause_in, first_line, is_not_partial, status_in
from sluicegate.sources.options import DEFAULT_OPTIONS, BadOptions, Location, StoreOptions, parse_location
from sluicegate.sources.translation import as_break, by_table
from sluicegate.trust import client_context

if TYPE_CHECKING:
    from obstore import BytesStream, GetOptions, GetResult
    from obstore.store import ObjectStore as Client

NO_TOTAL_TIMEOUT: Final = timedelta(days=365)
"""obstore limits the whole of a body to 30 s by default, and has no way to say "never"."""

RETRY_SECONDS: Final = 10.0
"""No retry of a request begins later than this after its first attempt."""

MAX_DERIVED: Final = 32
"""Clients kept for prefixes of keys with empty segments (`a//b`), which obstore's paths cannot hold."""

ERRORS: Final[tuple[tuple[type[Exception], type[SourceError]], ...]] = (
    # The first row that fits wins, so subclasses stand above their bases. Of a GenericError the text says
    # more, see obstore_texts.py.
    (FileNotFoundError, NotFound),
    (exceptions.NotFoundError, NotFound),
    (exceptions.InvalidPathError, InvalidKey),
    (ValueError, InvalidKey),
    (exceptions.PermissionDeniedError, Denied),
    (exceptions.UnauthenticatedError, Denied),
    (PermissionError, Denied),
    (exceptions.JoinError, Unavailable),
    (exceptions.NotSupportedError, BadAnswer),
    (exceptions.AlreadyExistsError, BadAnswer),
    (exceptions.UnknownConfigurationKeyError, BadAnswer),
    (exceptions.NotModifiedError, BadAnswer),
    (exceptions.PreconditionError, BadAnswer),
    (exceptions.GenericError, BadAnswer),
    (exceptions.BaseError, BadAnswer),
    (OSError, Unavailable),
)

OBSTORE_ERRORS: Final = (exceptions.BaseError, OSError, ValueError)
"""What obstore's functions raise: its own tree, and three of Python's."""


class ObjectStore(AbstractAsyncContextManager["ObjectStore"]):
    """A source on any store that obstore knows.

    `url` is `s3://bucket`, `gs://bucket`, `az://container` (each with an optional prefix),
    `file:///folder` or `memory://`. Raises `BadOptions` for options that cannot be used, when entered.

    Keys with empty segments (`a//b`, `/a`, `a/`) exist only on S3; other kinds raise `InvalidKey`.
    `Expires` is not passed on: obstore does not tell it. The store of obstore itself, for writing or
    listing, is `client` while the source is open.
    """

    def __init__(self, url: str, options: StoreOptions = DEFAULT_OPTIONS) -> None:
        self.location = parse_location(url)
        self._options = options
        self._is_at_hand = self.location.scheme == "memory"
        self._settings = S3Settings()
        self._lifetime = Lifetime(str(self.location))
        self._client: Client | None = None
        self._derived: OrderedDict[str, Client] = OrderedDict()

    @property
    def client(self) -> Client:
        """obstore's own object for this store."""
        if self._client is None:
            raise self._lifetime.closed()
        return self._client

    async def __aenter__(self) -> Self:
        """Make the client. Nothing is sent yet."""
        with self._lifetime.entering():
            # Reading CA files and shared credentials blocks.
            try:
                self._client = await asyncio.to_thread(self._make_first)
            except BadOptions:
                raise
            except OBSTORE_ERRORS as exc:
                raise BadOptions(f"{self.location}: {first_line(str(exc))}") from exc
        return self

    def _make_first(self) -> Client:
        if self.location.scheme == "s3":
            self._settings = s3_settings(self.location, self._options)
        return _make_client(self.location, self._options, self._settings)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop the client; obstore closes its connections with it."""
        self._lifetime.leave()
        self._client = None
        self._derived.clear()

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the store for `key`, in one request.

        A 304 costs a second one, for its metadata, and so does a range that the store ignores.
        """
        client, path = await self._place(check_key(self.location.key(check_key(key))))
        what = f"{self.location} {key!r}"
        try:
            result = await self._asked(client, path, _get_options(request))
        except exceptions.NotModifiedError:
            # obstore keeps nothing of a 304 but that it was one, and the client's 304 must say more.
            return NotModified(await self._metadata(client, path, key))
        except exceptions.PreconditionError:
            return PreconditionFailed()
        except exceptions.NotSupportedError as exc:
            if isinstance(request.range, Suffix):
                # Azure has no suffix ranges. Whoever asks then learns the size, and asks by positions.
                return Unsatisfiable(None)
            raise BadAnswer(f"{what}: {type(exc).__name__}") from exc
        except OBSTORE_ERRORS as exc:
            if request.range is not None and is_not_partial(str(exc)):
                # The store ignored the range, as it may, but obstore keeps nothing of such an answer.
                return await self.open(key, replace(request, range=None))
            return _unsatisfiable(exc, what)
        return _found(result, request, key, what, at_hand=self._is_at_hand)

    async def _asked(self, client: Client, path: str, options: GetOptions) -> GetResult:
        if self._is_at_hand:
            # Nobody has to be waited for, and a message between threads would cost a hundred times as much.
            return obstore.get(client, path, options=options)
        return await obstore.get_async(client, path, options=options)

    async def _metadata(self, client: Client, path: str, key: str) -> Metadata:
        try:
            result = await self._asked(client, path, {"head": True})
        except OBSTORE_ERRORS as exc:
            _unsatisfiable(exc, f"{self.location} {key!r}")
            raise BadAnswer(f"{self.location} {key!r}: 416 to a HEAD") from exc
        return describe_result(result, key)

    async def _place(self, key: str) -> tuple[Client, str]:
        """The client and the path that mean `key`: obstore's paths have no empty segments."""
        client = self.client
        if "" not in key.split("/"):
            return client, key
        if self.location.scheme != "s3":
            raise InvalidKey(f"{self.location} cannot hold keys with empty segments, such as {key!r}")
        above, path = _split_at_empty_segment(key)
        derived = self._derived.get(above)
        if derived is None:
            derived = await asyncio.to_thread(
                _make_client, self.location, self._options, self._settings, above
            )
            self._derived[above] = derived
        self._derived.move_to_end(above)
        while len(self._derived) > MAX_DERIVED:
            self._derived.popitem(last=False)
        return derived, path


class MemoryBody:
    """Bytes of an obstore answer that is in memory: nobody has to be waited for."""

    def __init__(self, result: GetResult) -> None:
        # Not `bytes`, but a buffer of obstore's.
        self._left: memoryview | None = memoryview(result.bytes())

    @property
    def is_closed(self) -> bool:
        """Whether nothing is held any more."""
        return self._left is None

    async def read(self) -> Chunk:
        """The next chunk; empty at the end."""
        if self._left is None:
            return b""
        chunk, left = self._left[:CHUNK_SIZE], self._left[CHUNK_SIZE:]
        self._left = left or None
        return chunk

    async def aclose(self) -> None:
        """Forget the rest."""
        self._left = None


class StreamBody:
    """Bytes of an obstore stream. The next chunk is on its way while the last one is being sent."""

    def __init__(self, result: GetResult, chunk_size: int, what: str) -> None:
        self._stream: BytesStream | None = result.stream(chunk_size)
        self._chunk_size = chunk_size
        self._next: asyncio.Future[bytes] | None = None
        self._what = what

    async def read(self) -> Chunk:
        """The next chunk; empty at the end."""
        if self._stream is None:
            return b""
        # obstore starts to fetch when it is called, not when it is awaited, so this overlaps the origin
        # with the client without a task: 15 % less wall time for 1 GiB.
        pending = self._next or _fetch(self._stream)
        self._next = None
        try:
            chunk = await pending
        except StopAsyncIteration:
            self._stream = None
            return b""
        except OBSTORE_ERRORS as exc:
            self._stream = None
            raise _broken(exc, self._what) from exc
        # "All chunks except for the last chunk will be at least this size": behind a shorter one there is
        # nothing, and a message between threads to learn that would be half of what a small object costs.
        if len(chunk) < self._chunk_size:
            self._stream = None
        else:
            self._next = _fetch(self._stream)
        return chunk

    async def aclose(self) -> None:
        """Let go of the stream."""
        # The connection closes with the last reference to the stream: hold none.
        pending, self._next, self._stream = self._next, None, None
        if pending is not None and not pending.cancel() and not pending.cancelled():
            pending.exception()


def _fetch(stream: BytesStream) -> asyncio.Future[bytes]:
    return cast("asyncio.Future[bytes]", stream.__anext__())


def _found(
    result: GetResult, request: OpenRequest, key: str, what: str, *, at_hand: bool
) -> Found | Unsatisfiable:
    metadata = describe_result(result, key)
    start, stop = result.range
    if request.head or metadata.size == 0:
        return Found(metadata, None, EmptyBody())
    # Folders and memory serve no bytes for a range of none, where stores answer 416.
    if start == stop:
        return Unsatisfiable(metadata.size)
    span = None if request.range is None else Span(start, stop)
    if at_hand:
        return Found(metadata, span, MemoryBody(result))
    # One more byte than a small body has, so that it is the last chunk.
    chunk_size = SMALL + 1 if stop - start <= SMALL else CHUNK_SIZE
    return Found(metadata, span, StreamBody(result, chunk_size, what))


def describe_result(result: GetResult, key: str) -> Metadata:
    """The metadata of what obstore answered for `key`."""
    meta = result.meta
    attributes = {str(name): str(value) for name, value in result.attributes.items()}
    modified = to_http_seconds(meta["last_modified"])
    return Metadata(
        size=meta["size"],
        etag=origin_etag(safe_value(meta["e_tag"])),
        # obstore says 1970 where the store said nothing.
        last_modified=modified if modified.timestamp() > 0 else None,
        answered=datetime.now(UTC),
        content_type=safe_value(attributes.get("Content-Type")) or media_type_of(key),
        content_encoding=safe_value(attributes.get("Content-Encoding")),
        content_language=safe_value(attributes.get("Content-Language")),
        content_disposition=safe_value(attributes.get("Content-Disposition")),
        cache_control=safe_value(attributes.get("Cache-Control")),
        version=meta["version"],
    )


def _get_options(request: OpenRequest) -> GetOptions:
    options: GetOptions = {"head": request.head}
    if request.range is not None:
        options["range"] = _range(request.range)
    _add_conditions(options, request.conditions)
    return options


def _range(spec: RangeSpec) -> Any:
    match spec:
        case Suffix(length):
            return {"suffix": length}
        case FromTo(first, last):
            return {"offset": first} if last is None else (first, last + 1)


def _add_conditions(options: GetOptions, conditions: Conditions) -> None:
    if conditions.if_match is not None:
        options["if_match"] = str(conditions.if_match)
    if conditions.if_none_match is not None:
        options["if_none_match"] = str(conditions.if_none_match)
    if conditions.if_modified_since is not None:
        options["if_modified_since"] = _end_of_second(conditions.if_modified_since)
    if conditions.if_unmodified_since is not None:
        options["if_unmodified_since"] = _end_of_second(conditions.if_unmodified_since)


def _end_of_second(moment: datetime) -> datetime:
    """A date of HTTP as folders and memory must compare it: theirs have fractions, which HTTP drops."""
    return moment.replace(microsecond=999_999)


def translate(exc: Exception, what: str) -> SourceError | Unsatisfiable:
    """What one of obstore's errors stands for: a failure, or a range that cannot be satisfied."""
    if (answered := status_in(str(exc), what)) is not None:
        return answered
    if isinstance(exc, exceptions.GenericError):
        return cause_in(str(exc), what)
    return by_table(ERRORS, exc, what)


def _unsatisfiable(exc: Exception, what: str) -> Unsatisfiable:
    """The outcome that an error stands for; raises the failure that it is instead."""
    answered = translate(exc, what)
    if isinstance(answered, Unsatisfiable):
        return answered
    try:
        raise answered from exc
    finally:
        # Its traceback holds this frame: a circle that would keep the connection of the answer.
        del answered


def _broken(exc: Exception, what: str) -> SourceError:
    """Our error for a body that broke."""
    failure = translate(exc, what)
    return BrokenBody(what) if isinstance(failure, Unsatisfiable) else as_break(failure)


def _split_at_empty_segment(key: str) -> tuple[str, str]:
    """`key` as what stands above its last empty segment, and the path below it: `a//b` is `a/`, `b`."""
    whole = "/" + key
    if whole.endswith("/"):
        return whole[1:-1], ""
    above, _, below = whole.rpartition("//")
    return f"{above}/"[1:], below


def _make_client(
    location: Location, options: StoreOptions, settings: S3Settings, above: str | None = None
) -> Client:
    """obstore's client; `above` is a key prefix that becomes a part of its base address (S3 only)."""
    match location.scheme:
        case "s3":
            return _s3(location, options, settings, above)
        case "gs":
            return store.GCSStore(
                location.bucket,
                client_options=_client_options(options, options.endpoint_url),
                retry_config=_retries(options),
                config=_given(
                    base_url=options.endpoint_url,
                    service_account_path=options.service_account_file,
                    skip_signature=options.anonymous or None,
                ),
            )
        case "az":
            return store.AzureStore(
                location.bucket,
                client_options=_client_options(options, options.endpoint_url),
                retry_config=_retries(options),
                config=_given(
                    endpoint=options.endpoint_url,
                    account_name=options.account_name,
                    account_key=options.account_key,
                    sas_token=options.sas_token,
                    skip_signature=options.anonymous or None,
                ),
            )
        case "file":
            folder = Path(location.bucket)
            if not folder.is_dir():
                raise BadOptions(f"{location}: there is no folder {str(folder)!r}")
            return store.LocalStore(folder)
        case "memory":
            return store.MemoryStore()


def _s3(location: Location, options: StoreOptions, settings: S3Settings, above: str | None) -> Client:
    endpoint, bucket, virtual = settings.endpoint_url, location.bucket, options.addressing == "virtual"
    address = _virtual_endpoint(endpoint, bucket, settings.region) if virtual else endpoint
    if above is not None:
        # obstore puts no more than a slash behind the bucket of path style, and leaves this one as it is.
        bucket = quote(above) if virtual else f"{bucket}/{quote(above)}"
    return store.S3Store(
        bucket,
        client_options=_client_options(options, endpoint),
        retry_config=_retries(options),
        credential_provider=settings.credentials,
        config=_given(
            endpoint=address,
            region=settings.region,
            skip_signature=options.anonymous or None,
            virtual_hosted_style_request=(virtual and above is None) or None,
        ),
    )


def _virtual_endpoint(endpoint: str | None, bucket: str, region: str | None) -> str:
    """The address with the bucket in its host name, as obstore wants it for virtual-hosted style."""
    parts = urlsplit(endpoint or f"https://s3.{region or 'us-east-1'}.amazonaws.com")
    return f"{parts.scheme}://{bucket}.{parts.netloc}"


def _client_options(options: StoreOptions, endpoint: str | None) -> Any:
    return _given(
        allow_http=(endpoint or "").startswith("http://"),
        connect_timeout=timedelta(seconds=options.connect_timeout),
        read_timeout=timedelta(seconds=options.read_timeout),
        timeout=NO_TOTAL_TIMEOUT,
        allow_invalid_certificates=True if options.tls_verify is False else None,
        root_certificate=_certificates(options.tls_verify),
        pool_max_idle_per_host=str(options.max_connections),
    )


def _certificates(tls_verify: bool | str) -> bytes | None:
    if isinstance(tls_verify, bool):
        return None
    client_context(tls_verify, BadOptions)
    return Path(tls_verify).read_bytes()


def _retries(options: StoreOptions) -> Any:
    return {
        "max_retries": options.attempts - 1,
        "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=2)},
    }


def _given(**values: Any) -> Any:
    """The values that are not `None`."""
    return {name: value for name, value in values.items() if value is not None}
