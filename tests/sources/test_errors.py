"""Every exception class of each client library has a failure of ours, chosen on purpose.

A class that a new version of a library brings is in no table here: the test names it, and whoever raises
the version decides what it is.
"""

from collections.abc import Iterable
from types import ModuleType

import aiohttp.client_exceptions
import botocore.exceptions
import obstore.exceptions
import pytest

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    Denied,
    InvalidKey,
    NotFound,
    OriginTimeout,
    SourceError,
    Throttled,
    Unavailable,
)
from sluicegate.http.exchange import Unsatisfiable
from sluicegate.sources import aws, http, object_store

Table = dict[type[SourceError], set[str]]

BOTOCORE: dict[type[SourceError], set[str]] = {
    OriginTimeout: {
        "ConnectTimeoutError",
        "ReadTimeoutError",
    },
    Unavailable: {
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "ProxyConnectionError",
        "SSLError",
    },
    BrokenBody: {
        "ChecksumError",
        "FlexibleChecksumError",
        "IncompleteReadError",
        "ResponseStreamingError",
    },
    Denied: {
        "CredentialRetrievalError",
        "LoginAuthorizationCodeError",
        "LoginError",
        "LoginInsufficientPermissions",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "MetadataRetrievalError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    },
    Throttled: {
        "CapacityNotAvailableError",
    },
    InvalidKey: {
        "ParamValidationError",
    },
    BadAnswer: {
        "AliasConflictParameterError",
        "ApiVersionNotFoundError",
        "AwsChunkedWrapperError",
        "BaseEndpointResolverError",
        "BotoCoreError",
        "ConfigNotFound",
        "ConfigParseError",
        "DataNotFoundError",
        "EndpointProviderError",
        "EndpointResolutionError",
        "EndpointVariantError",
        "HTTPClientError",
        "InfiniteLoopConfigError",
        "InvalidChecksumConfigError",
        "InvalidConfigError",
        "InvalidDNSNameError",
        "InvalidDefaultsMode",
        "InvalidEndpointConfigurationError",
        "InvalidEndpointDiscoveryConfigurationError",
        "InvalidExpressionError",
        "InvalidHostLabelError",
        "InvalidIMDSEndpointError",
        "InvalidIMDSEndpointModeError",
        "InvalidMaxRetryAttemptsError",
        "InvalidProxiesConfigError",
        "InvalidRegionError",
        "InvalidRetryConfigurationError",
        "InvalidRetryModeError",
        "InvalidS3AddressingStyleError",
        "InvalidS3UsEast1RegionalEndpointConfigError",
        "InvalidSTSRegionalEndpointsConfigError",
        "MD5UnavailableError",
        "MissingDependencyException",
        "MissingParametersError",
        "NoRegionError",
        "OperationNotPageableError",
        "PaginationError",
        "ProfileNotFound",
        "RangeError",
        "ServiceNotInRegionError",
        "StubAssertionError",
        "StubResponseError",
        "UnStubbedResponseError",
        "UnknownClientMethodError",
        "UnknownCredentialError",
        "UnknownEndpointError",
        "UnknownEndpointResolutionBuiltInName",
        "UnknownFIPSEndpointError",
        "UnknownKeyError",
        "UnknownParameterError",
        "UnknownRegionError",
        "UnknownServiceError",
        "UnknownServiceStyle",
        "UnknownSignatureVersionError",
        "UnknownTokenProviderError",
        "UnseekableStreamError",
        "UnsupportedOutpostResourceError",
        "UnsupportedS3AccesspointConfigurationError",
        "UnsupportedS3ArnError",
        "UnsupportedS3ConfigurationError",
        "UnsupportedS3ControlArnError",
        "UnsupportedS3ControlConfigurationError",
        "UnsupportedServiceProtocolsError",
        "UnsupportedSignatureVersionError",
        "ValidationError",
        "WaiterConfigError",
        "WaiterError",
    },
}
AIOHTTP: dict[type[SourceError], set[str]] = {
    OriginTimeout: {
        "ConnectionTimeoutError",
        "ServerTimeoutError",
        "SocketTimeoutError",
    },
    Unavailable: {
        "ClientConnectionError",
        "ClientConnectionResetError",
        "ClientConnectorCertificateError",
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ClientConnectorSSLError",
        "ClientOSError",
        "ClientProxyConnectionError",
        "ClientSSLError",
        "ServerConnectionError",
        "ServerDisconnectedError",
        "ServerFingerprintMismatch",
        "UnixClientConnectorError",
    },
    BrokenBody: {
        "ClientPayloadError",
    },
    InvalidKey: {
        "InvalidURL",
        "InvalidUrlClientError",
        "InvalidUrlRedirectClientError",
    },
    BadAnswer: {
        "ClientError",
        "ClientHttpProxyError",
        "ClientResponseError",
        "ContentTypeError",
        "NonHttpUrlClientError",
        "NonHttpUrlRedirectClientError",
        "RedirectClientError",
        "TooManyRedirects",
        "UploadAbortedError",
        "WSServerHandshakeError",
    },
}
OBSTORE: Table = {
    NotFound: {"NotFoundError"},
    InvalidKey: {"InvalidPathError"},
    Denied: {"PermissionDeniedError", "UnauthenticatedError"},
    Unavailable: {"JoinError"},
    # 304 and 412 are outcomes where they are asked for; elsewhere they are wrong.
    BadAnswer: {
        "AlreadyExistsError",
        "BaseError",
        "GenericError",
        "NotModifiedError",
        "NotSupportedError",
        "PreconditionError",
        "UnknownConfigurationKeyError",
    },
}


def classes_of(module: ModuleType, root: type[BaseException]) -> dict[str, type[BaseException]]:
    found = vars(module).items()
    return {name: kind for name, kind in found if isinstance(kind, type) and issubclass(kind, root)}


def expected_of(table: Table) -> dict[str, str]:
    return {name: ours.__name__ for ours, names in table.items() for name in names}


def check(translated: dict[str, SourceError | Unsatisfiable], table: Table) -> None:
    """Compare by name, so that a failure names the classes, and not each attribute of each."""
    expected = expected_of(table)
    assert not set(translated) - set(expected), "new exception classes: choose a failure for each, in ERRORS"
    ours = {name: type(failure).__name__ for name, failure in translated.items()}
    assert ours == {name: expected[name] for name in translated}


def blank(kind: type[BaseException], **attributes: object) -> Exception:
    """An instance without its arguments, which are different for each class."""
    made = kind.__new__(kind)
    assert isinstance(made, Exception)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def test_every_class_of_botocore_has_its_failure() -> None:
    kinds = classes_of(botocore.exceptions, botocore.exceptions.BotoCoreError)
    check({name: aws.translate(blank(kind, kwargs={}), "what") for name, kind in kinds.items()}, BOTOCORE)


def test_every_class_of_aiohttp_has_its_failure() -> None:
    kinds = classes_of(aiohttp.client_exceptions, aiohttp.ClientError)
    check({name: http.translate(blank(kind), "what") for name, kind in kinds.items()}, AIOHTTP)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_class_of_obstore_has_its_failure() -> None:
    kinds = classes_of(obstore.exceptions, obstore.exceptions.BaseError)
    check({name: object_store.translate(blank(kind), "what") for name, kind in kinds.items()}, OBSTORE)


@pytest.mark.parametrize("table", [BOTOCORE, AIOHTTP, OBSTORE], ids=["botocore", "aiohttp", "obstore"])
def test_no_class_stands_twice(table: Table) -> None:
    assert len(expected_of(table)) == sum(len(names) for names in table.values())


def test_new_class_is_named() -> None:
    class NewError(botocore.exceptions.BotoCoreError):  # type: ignore[misc]
        pass

    with pytest.raises(AssertionError, match="NewError"):
        check({"NewError": aws.translate(blank(NewError, kwargs={}), "what")}, BOTOCORE)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (FileNotFoundError("Object at location a not found"), NotFound),
        (ValueError('Could not parse path: Path "a//b" contained empty path segment'), InvalidKey),
        (PermissionError("no"), Denied),
        (OSError("no"), Unavailable),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_exceptions_of_python_have_their_failure(raised: Exception, expected: type[SourceError]) -> None:
    assert type(object_store.translate(raised, "what")) is expected


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (TimeoutError(), OriginTimeout),
        (ConnectionResetError(), Unavailable),
        (OSError(), Unavailable),
        (ValueError("Newline or carriage return in headers"), BadAnswer),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_exceptions_below_aiohttp_have_their_failure(raised: Exception, expected: type[SourceError]) -> None:
    assert type(http.translate(raised, "what")) is expected


# What obstore tells in its text alone.


def generic(*lines: str, first: str = "Generic S3 error: said") -> Exception:
    debug = "\n".join(("Generic {", '    store: "S3",', *lines, "}"))
    return obstore.exceptions.GenericError(f"{first}\n\nDebug source:\n{debug}")


def statuses() -> Iterable[tuple[int, type[SourceError]]]:
    yield from ((401, Denied), (403, Denied), (404, NotFound), (410, NotFound), (408, OriginTimeout))
    yield from ((504, OriginTimeout), (429, Throttled), (503, Throttled), (500, Unavailable))
    yield from ((502, Unavailable), (400, BadAnswer), (301, BadAnswer), (418, BadAnswer))


@pytest.mark.parametrize(("status", "expected"), [*statuses()])
def test_status_in_the_text(status: int, expected: type[SourceError]) -> None:
    found = object_store.translate(generic("    inner: Status {", f"        status: {status},"), "what")
    assert type(found) is expected
    assert str(found) == f"what: {status}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("                    kind: Timeout,", OriginTimeout),
        ("                        source: TimedOut,", OriginTimeout),
        ("                    TimedOut,", OriginTimeout),
        ("                                    kind: TimedOut,", OriginTimeout),
        ("                    kind: Connect,", Unavailable),
        ("                    kind: Request,", Unavailable),
        ("                    kind: Interrupted,", Unavailable),
        ("                    kind: Decode,", BrokenBody),
        ("                                Parse(", BadAnswer),
        ("    source: UnexpectedRange {", BadAnswer),
        ("    source: Header {", BadAnswer),
        ("    source: InvalidPath {", InvalidKey),
        ("            kind: NotADirectory,", NotFound),
        ("            kind: InvalidFilename,", NotFound),
        ("            kind: PermissionDenied,", Denied),
        ("    what: WasNeverSeen,", BadAnswer),
    ],
)
def test_cause_in_the_text(line: str, expected: type[SourceError]) -> None:
    assert type(object_store.translate(generic(line), "what")) is expected


@pytest.mark.parametrize(
    "line",
    [
        "    source: InvalidRange {",
        "        source: StartTooLarge {",
        "    source: Range {",
        "    status: 416,",
    ],
)
def test_unsatisfiable_range_in_the_text_is_no_failure(line: str) -> None:
    assert object_store.translate(generic(line), "what") == Unsatisfiable(None)


@pytest.mark.parametrize(
    "text",
    [
        # The address stands in a line of its own, percent-encoded.
        "                http://127.0.0.1:1/bucket/TimedOut,",
        "                http://127.0.0.1:1/bucket/kind:%20Timeout,",
        # Strings are escaped.
        '        path: "a\\n    status: 403,\\n",',
        '        body: Some("\\n    kind: Timeout,\\n"),',
    ],
)
def test_text_of_others_decides_nothing(text: str) -> None:
    failure = object_store.translate(generic(text, "                    kind: Connect,"), "what")
    assert type(failure) is Unavailable


def test_lines_before_the_debug_text_decide_nothing() -> None:
    raised = ValueError('Could not parse path: Error parsing Path "a\n    status: 403,\nb"')
    assert type(object_store.translate(raised, "what")) is InvalidKey


def test_message_says_the_cause_and_not_the_address() -> None:
    raised = generic(
        "                    kind: Connect,",
        '                                    message: "Connection refused",',
        first="Generic S3 error: Error performing GET http://host/bucket/key in 1.2ms - HTTP error: none",
    )
    failure = object_store.translate(raised, "s3://bucket 'key'")
    assert str(failure) == "s3://bucket 'key': Generic S3 error: HTTP error: none (Connection refused)"
