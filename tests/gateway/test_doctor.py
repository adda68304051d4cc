"""What the doctor makes of what it finds: every judgement is a table, and nothing here connects."""

import errno
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from sluicegate import Found, Listed, SourceError
from sluicegate.errors import BadAnswer, Denied, NotFound, OriginTimeout, Throttled, Unavailable
from sluicegate.gateway.config import StoreConfig, parse_config
from sluicegate.gateway.doctor import (
    BadAim,
    Finding,
    Level,
    Section,
    Shown,
    has_problem,
    read_aims,
    secrets_of,
)
from sluicegate.gateway.doctor.answers import (
    judge_beyond,
    judge_checksums,
    judge_digest,
    judge_head,
    judge_if_match,
    judge_if_none_match,
    judge_length,
    judge_metadata,
    judge_missing,
    judge_range,
    judge_same_version,
    judge_suffix,
)
from sluicegate.gateway.doctor.credentials import (
    Credentials,
    is_of_all_requests,
    judge_failure,
    judge_found,
    judge_given,
    judge_sas,
)
from sluicegate.gateway.doctor.endpoints import Endpoint, store_endpoint
from sluicegate.gateway.doctor.examination import Place
from sluicegate.gateway.doctor.findings import note, ok, problem, warning
from sluicegate.gateway.doctor.probing import Answer, Served
from sluicegate.gateway.doctor.speed import Speed, judge_first_byte, judge_speed
from sluicegate.gateway.doctor.stores import judge_listing
from sluicegate.gateway.doctor.transport import (
    Connection,
    judge_clock,
    judge_connection,
    judge_refusal,
)
from sluicegate.gateway.doctor.upstreams import Wanted
from sluicegate.gateway.origin_codes import status_and_code
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag
from sluicegate.sources.base import EmptyBody

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
OK, NOTE, WARNING, PROBLEM = Level.OK, Level.NOTE, Level.WARNING, Level.PROBLEM
HTTPS = Endpoint.of("https://store.example", True)
HTTP = Endpoint.of("http://store.example:9000", True)


def served(span: Span | None, length: int = 0, **metadata: int) -> Served:
    return Served(Found(Metadata(**metadata), span, EmptyBody()), length)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "signed", "level", "words"),
    [
        (0, True, OK, "agree within 1 s"),
        (-59, True, OK, "agree within 60 s"),
        (62, True, WARNING, "62 s ahead of"),
        (-61, False, WARNING, "62 s behind"),
        (14 * 60, True, WARNING, "14 min ahead of"),
        (16 * 60, True, PROBLEM, "16 min ahead of"),
        (-16 * 60, True, PROBLEM, "16 min behind"),
        (3600, False, WARNING, "60 min ahead of"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_clock_is_judged_by_what_signatures_allow(
    seconds: int, signed: bool, level: Level, words: str
) -> None:
    found = judge_clock(NOW, NOW + timedelta(seconds=seconds), signed=signed)
    assert found.level is level
    assert words in found.what
    assert (found.advice is not None and "NTP" in found.advice) is (level is not OK)


def test_service_without_a_date_is_no_reason_to_worry() -> None:
    assert judge_clock(None, NOW, signed=True).level is NOTE


def distrust(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("error", "what", "advice"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "Connection refused", "the service runs"),
        (OSError("Multiple exceptions: a, b"), "Multiple exceptions", "the service runs"),
        (TimeoutError(), "no answer in time", "firewalls"),
        (OSError(errno.EHOSTUNREACH, "x"), "No route to host", "firewalls"),
        (socket.gaierror(-2, "Name or service not known"), "'store.example' does not resolve", "spelling"),
        (distrust("certificate has expired"), "has expired", "renew the certificate"),
        (distrust("certificate is not yet valid"), "not yet valid", "set the clock"),
        (distrust("Hostname mismatch, certificate is not valid for 'a'."), "mismatch", "use a name"),
        (distrust("unable to get local issuer certificate"), "local issuer", "set tls_verify"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version"), "no TLS", "speaks TLS"),
        (UnicodeError("label too long"), "'store.example' is no name", "correct it"),
    ],
    ids=[
        *("refused", "several-addresses", "timeout", "no-route", "no-name"),
        *("expired", "early", "other-name", "unknown-authority", "no-tls", "no-host-name"),
    ],
)
def test_connection_that_failed_says_what_to_look_at(
    error: OSError | UnicodeError, what: str, advice: str
) -> None:
    found = judge_refusal(HTTPS, error)
    assert found.level is PROBLEM
    assert what in found.what
    assert found.advice is not None
    assert advice in found.advice


@pytest.mark.parametrize(
    ("version", "days", "levels"),
    [
        ("TLSv1.3", 60, [OK, OK, OK]),
        ("TLSv1.2", 13, [OK, OK, WARNING]),
        ("TLSv1", 60, [OK, WARNING, OK]),
        ("TLSv1.3", None, [OK, OK, WARNING]),
    ],
    ids=["good", "ends-soon", "old-version", "not-checked"],
)
def test_tls_is_judged_by_version_and_end_of_certificate(
    version: str, days: int | None, levels: list[Level]
) -> None:
    expires = None if days is None else NOW + timedelta(days=days)
    found = judge_connection(HTTPS, Connection("192.0.2.1", 0.001, version, expires), NOW)
    assert [one.level for one in found] == levels


def test_plain_connection_is_noted_and_on_loopback_without_advice() -> None:
    made = Connection("192.0.2.1", 0.001)
    assert judge_connection(HTTP, made, NOW)[1] == note(
        "the connection is not encrypted", "use https:// unless the network between is yours alone"
    )
    local = Endpoint.of("http://127.0.0.1:9000", True)
    assert judge_connection(local, made, NOW)[1] == note("the connection is not encrypted")


@pytest.mark.parametrize(
    ("token", "level", "words"),
    [
        ("sv=2024&se=2026-02-15T12:00:00Z&sig=S3CRET", OK, "last until 2026-02-15 12:00 UTC"),
        ("?sv=2024&se=2026-01-16T12%3A00Z&sig=S3CRET", WARNING, "end soon, at 2026-01-16 12:00 UTC"),
        ("se=2026-01-15&sig=S3CRET", PROBLEM, "ended at 2026-01-15 00:00 UTC"),
        ("si=policy&sig=S3CRET", NOTE, "tells no end"),
        ("se=tomorrow&sig=S3CRET", NOTE, "tells no end"),
    ],
    ids=["long", "soon", "ended", "policy", "nonsense"],
)
def test_sas_token_is_judged_by_its_own_end_and_never_shown(token: str, level: Level, words: str) -> None:
    found = judge_sas(token, NOW)
    assert found.level is level
    assert words in found.what.replace("the SAS token will end", "end")
    assert "S3CRET" not in repr(found)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"anonymous": True}, NOTE),
        ({"access_key_id": "a", "secret_access_key": "b"}, OK),
        ({"access_key_id": "a", "secret_access_key": "b", "session_token": "c"}, WARNING),
        ({"account_key": "a"}, OK),
        ({"service_account_file": "/a"}, OK),
        ({}, None),
    ],
    ids=["anonymous", "keys", "session", "azure", "google", "none"],
)
def test_given_credentials_are_judged_by_whether_they_last(
    options: dict[str, str], expected: Level | None
) -> None:
    found = judge_given(StoreConfig(name="s", url="s3://b", **options), NOW)  # type: ignore[arg-type]
    assert (None if found is None else found.level) is expected


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (None, WARNING, "no credentials"),
        (Credentials("env", False, False), OK, "do not end"),
        (Credentials("env", True, False), WARNING, "do not tell when they end"),
        (Credentials("env", True, False, NOW + timedelta(hours=1)), WARNING, "end soon"),
        (Credentials("env", True, False, NOW - timedelta(hours=1)), PROBLEM, "ended at"),
        (Credentials("assume-role", True, True, NOW + timedelta(hours=1)), OK, "by themselves, at present"),
    ],
    ids=["none", "keys", "endless-token", "soon", "ended", "refreshed"],
)
def test_chain_is_judged_by_whether_it_lasts(found: Credentials | None, level: Level, words: str) -> None:
    judged = judge_found(found, NOW)
    assert judged.level is level
    assert words in judged.what


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b 'k': 403 AccessDenied", (403, "AccessDenied")),
        ("http://h/p: 404", (404, None)),
        ("s3://b ': 403 ExpiredToken': connection reset", (None, None)),
        ("", (None, None)),
    ],
    ids=["code", "status", "in-the-key", "nothing"],
)
def test_status_and_code_are_those_at_the_end(text: str, expected: tuple[int | None, str | None]) -> None:
    assert status_and_code(BadAnswer(text)) == expected


@pytest.mark.parametrize(
    ("error", "of_all", "level", "advice"),
    [
        (Denied("x: 403 ExpiredToken"), True, PROBLEM, "new temporary credentials"),
        (Denied("x: 403 InvalidAccessKeyId"), True, PROBLEM, "check access_key_id"),
        (Denied("x: 403 SignatureDoesNotMatch"), True, PROBLEM, "check secret_access_key"),
        (Denied("x: 403 RequestTimeTooSkewed"), True, PROBLEM, "NTP"),
        (NotFound("x: 404 NoSuchBucket"), True, PROBLEM, "check the name in url"),
        (BadAnswer("x: 400 AuthorizationHeaderMalformed"), True, PROBLEM, "set region"),
        (BadAnswer("x: 301 PermanentRedirect"), True, PROBLEM, "set region"),
        (Denied("x: 401"), True, PROBLEM, "check them"),
        (Denied("x: NoCredentialsError"), True, PROBLEM, "check the profile"),
        (Denied("x: 403 AccessDenied"), False, PROBLEM, "what they allow"),
        (Unavailable("x: refused"), True, PROBLEM, "check the endpoint"),
        (Unavailable("x: 500 InternalError"), False, PROBLEM, "check the endpoint"),
        (OriginTimeout("x: nothing within 10 s"), False, PROBLEM, "check the network"),
        (Throttled("x: 503 SlowDown"), False, WARNING, "try again later"),
        (BadAnswer("x: 418"), False, PROBLEM, "check region"),
    ],
    ids=lambda value: str(value).partition(": ")[2] if isinstance(value, SourceError) else None,
)
def test_failure_is_judged_by_the_stores_own_code(
    error: SourceError, of_all: bool, level: Level, advice: str
) -> None:
    assert is_of_all_requests(error) is of_all
    found = judge_failure(error)
    assert found.level is level
    assert str(error) in found.what
    assert found.advice is not None
    assert advice in found.advice


@pytest.mark.parametrize(
    ("listed", "level", "words"),
    [
        (
            (Listed("a", 1), Listed("b", 2)),
            OK,
            "the credentials are accepted, and listing is allowed: 2 objects",
        ),
        ((Listed("a", 1),), OK, "1 object looked at"),
        ((), OK, "there is no object"),
        (Denied("x: 403 AccessDenied"), NOTE, "listing is not allowed"),
        (BadAnswer("x: 501 NotImplemented"), NOTE, "listing fails"),
        (Denied("x: 403 InvalidAccessKeyId"), PROBLEM, "does not know the access key"),
    ],
    ids=["some", "one", "none", "denied", "not-implemented", "unknown-key"],
)
def test_listing_is_judged_by_what_it_says_of_reading(
    listed: tuple[Listed, ...] | SourceError, level: Level, words: str
) -> None:
    found = judge_listing(listed, identified=True)
    assert found.level is level
    assert words in found.what


TAG = ETag("a")
BYTE = served(Span(0, 1), 1, size=10)
WHOLE = served(None, size=10)
REFUSED = Served(Unsatisfiable(10))
FAILURE = OriginTimeout("k: nothing within 10 s")


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (judge_head(WHOLE), OK, "HEAD is answered"),
        (judge_head(BadAnswer("x: 405")), NOTE, "not answered (x: 405)"),
        (judge_head(NotFound("x: 404")), PROBLEM, "cannot be read"),
        (judge_head(FAILURE), PROBLEM, "HEAD fails"),
        (judge_head(REFUSED), PROBLEM, "HEAD is answered by 416"),
        (judge_range(BYTE, 10), OK, "honoured"),
        (judge_range(BYTE, None), OK, "honoured"),
        (judge_range(BYTE, 11), PROBLEM, "10 bytes are the whole, HEAD says 11"),
        (judge_range(WHOLE, 10), WARNING, "ranges are ignored"),
        (judge_range(served(Span(1, 2), 1, size=10), 10), PROBLEM, "1 bytes as 1-1 of 10"),
        (judge_range(served(Span(0, 1), 0, size=10), 10), PROBLEM, "0 bytes as 0-0 of 10"),
        (judge_range(FAILURE, 10), PROBLEM, "bytes=0-0 fails (k: nothing within 10 s)"),
        (judge_suffix(served(Span(9, 10), 1, size=10), 10), OK, "honoured"),
        (judge_suffix(WHOLE, 10), NOTE, "ignored"),
        (judge_suffix(REFUSED, 10), NOTE, "refused"),
        (judge_suffix(BYTE, 10), PROBLEM, "1 bytes as 0-0 of 10"),
        (judge_beyond(REFUSED, 10), OK, "416"),
        (judge_beyond(WHOLE, 10), NOTE, "answered by everything"),
        (judge_beyond(BYTE, 10), PROBLEM, "bytes=10- of 10 bytes is answered by 1 bytes"),
        (judge_if_none_match(Served(NotModified(Metadata()))), OK, "304"),
        (judge_if_none_match(WHOLE), NOTE, "ignored"),
        (judge_if_none_match(Served(PreconditionFailed())), PROBLEM, "answered by 412"),
        (judge_if_match(Served(PreconditionFailed())), OK, "412"),
        (judge_if_match(WHOLE), NOTE, "still guarded, by comparing the ETags"),
        (judge_if_match(Served(NotModified(Metadata()))), PROBLEM, "answered by 304"),
        (judge_missing(NotFound("x: 404")), OK, "404"),
        (judge_missing(Denied("x: 403")), NOTE, "cannot be told apart"),
        (judge_missing(WHOLE), PROBLEM, "every key is answered"),
        (judge_missing(FAILURE), PROBLEM, "fails"),
        (judge_digest(ETag("ABC"), "abc"), NOTE, "is the MD5"),
        (judge_digest(ETag("abc-2"), "abc"), NOTE, "is not the MD5"),
        (judge_digest(None, "abc"), NOTE, "is not the MD5"),
        (judge_length(10, 9), PROBLEM, "9 bytes came of an object of 10"),
        (judge_same_version(Metadata(size=1), Metadata(size=2)), PROBLEM, "HEAD says 1 bytes, GET says 2"),
        (judge_same_version(Metadata(etag=TAG), Metadata(etag=None)), WARNING, '"a", then none'),
        (judge_checksums(("crc32",)), NOTE, "crc32"),
        (judge_checksums(()), NOTE, "no checksum"),
    ],
)
def test_answers_are_judged_by_what_they_break(found: Finding, level: Level, words: str) -> None:
    assert found.level is level
    assert words in found.what
    assert level in (OK, NOTE) or found.advice


def test_folder_that_may_not_be_read_is_no_matter_of_credentials() -> None:
    found = judge_listing(Denied("file:///srv: Permission denied"), identified=False)
    assert found == problem(
        "it may not be read (file:///srv: Permission denied)",
        "check its permissions, and whom this command runs as",
    )


async def test_examination_that_fails_is_a_finding_and_shows_no_value() -> None:
    async def fails() -> tuple[Finding, ...]:
        raise RuntimeError("not a header value: 'very-secret\\n'")

    section = await Place("store s", fails).section()
    (found,) = section.findings
    assert (section.title, found.level, "very-secret" in repr(section)) == ("store s", PROBLEM, False)
    assert "RuntimeError (test_doctor.py, line" in found.what


def test_agreement_of_two_answers_is_nothing_to_tell() -> None:
    assert judge_same_version(Metadata(size=1, etag=TAG), Metadata(size=1, etag=TAG)) is None
    assert judge_length(10, 10) is None
    assert judge_length(None, 10) is None


@pytest.mark.parametrize(
    ("metadata", "levels"),
    [
        (Metadata(size=1, etag=TAG, last_modified=NOW), [OK, OK, OK]),
        (Metadata(size=1, etag=ETag("a", weak=True), last_modified=NOW), [OK, WARNING, OK]),
        (Metadata(), [WARNING, WARNING, NOTE]),
    ],
    ids=["all", "weak", "nothing"],
)
def test_metadata_are_judged_by_what_clients_lose(metadata: Metadata, levels: list[Level]) -> None:
    assert [found.level for found in judge_metadata(metadata)] == levels


def test_first_byte_is_judged_by_the_median() -> None:
    assert judge_first_byte((0.01, 5.0, 0.02)) == ok("first byte after 20.0 ms (median of 3)")
    assert judge_first_byte((1.5,)).level is WARNING


SLOW = Speed(10_000_000, 1.0)


@pytest.mark.parametrize(
    ("one", "eight", "read_ahead", "level", "words"),
    [
        (SLOW, Speed(50_000_000, 1.0), 1, OK, "10.0 MB/s, eight bring 50.0 MB/s (5.0 times as much)"),
        (SLOW, Speed(50_000_000, 1.0), 0, NOTE, "read-ahead would help"),
        (SLOW, Speed(11_000_000, 1.0), 1, NOTE, "brings little here"),
        (SLOW, Speed(50_000_000, 1.0, failed=3), 1, WARNING, "3 of 8 connections at once failed"),
        (Speed(0, 3.0), Speed(0, 3.0), 1, WARNING, "nothing came within 3 s"),
    ],
    ids=["helps", "would-help", "little", "failed", "nothing"],
)
def test_speeds_say_whether_read_ahead_helps(
    one: Speed, eight: Speed, read_ahead: int, level: Level, words: str
) -> None:
    found = judge_speed(one, eight, read_ahead)
    assert found.level is level
    assert words in found.what


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ({"url": "s3://b"}, {}, "https://s3.us-east-1.amazonaws.com"),
        ({"url": "s3://b", "region": "eu-west-1"}, {}, "https://s3.eu-west-1.amazonaws.com"),
        ({"url": "s3://b"}, {"AWS_REGION": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com"),
        ({"url": "s3://b"}, {"AWS_ENDPOINT_URL": "http://h:9000"}, "http://h:9000"),
        ({"url": "s3://b/p", "addressing": "virtual"}, {}, "https://b.s3.us-east-1.amazonaws.com"),
        (
            {"url": "s3://b", "endpoint_url": "http://h:9000"},
            {"AWS_ENDPOINT_URL": "http://i"},
            "http://h:9000",
        ),
        ({"url": "gs://b"}, {}, "https://storage.googleapis.com"),
        ({"url": "az://c", "account_name": "a"}, {}, "https://a.blob.core.windows.net"),
        ({"url": "az://c"}, {}, None),
        ({"url": "file:///srv"}, {}, None),
        ({"url": "memory://"}, {}, None),
    ],
)
def test_endpoint_is_where_the_client_connects(
    options: dict[str, str], environ: dict[str, str], expected: str | None
) -> None:
    endpoint = store_endpoint(StoreConfig(name="s", **options), environ)  # type: ignore[arg-type]
    assert (None if endpoint is None else str(endpoint)) == expected


def test_endpoint_knows_the_port_of_its_scheme() -> None:
    assert (HTTPS.host, HTTPS.port, HTTPS.tls) == ("store.example", 443, True)
    assert (HTTP.host, HTTP.port, HTTP.tls) == ("store.example", 9000, False)


CONFIG = """\
[stores.s]
url = "s3://b"
access_key_id = "id"
secret_access_key = "very/secret+key"
[[routes]]
path = "/files/{key:path}"
object = "s:in/{key}"
[[routes]]
path = "/n/{n:int}"
upstream = "http://h/bytes/{n}?token=hidden%20token"
[routes.request_headers]
authorization = "Bearer hidden-too"
[[routes]]
path = "/fixed"
upstream = "http://h/fixed"
"""


def test_aims_are_objects_and_the_answers_that_paths_lead_to() -> None:
    config = parse_config(CONFIG, {})
    bytes_of, fixed = config.routes[1].target, config.routes[2].target
    aims = read_aims(config, ["s:a:b"], ["/n/007", "/files/x%20y/z"])
    assert aims.keys == {"s": ("a:b", "in/x y/z")}
    assert aims.wanted == (Wanted(fixed, "fixed"), Wanted(bytes_of, "bytes/7"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objects", "requests", "words"),
    [
        (["s"], [], "found 's'; expected STORE:KEY"),
        (["t:a"], [], "found the store 't'; expected one of s"),
        ([], ["/n/x"], "n: found 'x'; expected an integer"),
        ([], ["/else"], "no route has this path; expected one of /files/{key:path}, /n/{n:int}, /fixed"),
        ([], ["n/1"], "does not start with '/'"),
        ([], ["/files/%2e%2e/x"], "'.' or '..'"),
        ([], ["/n/1?x=1"], "must be percent-encoded"),
    ],
    ids=["no-key", "no-store", "parameter", "no-route", "relative", "dots", "query"],
)
def test_aim_that_leads_nowhere_says_what_would(objects: list[str], requests: list[str], words: str) -> None:
    with pytest.raises(BadAim) as raised:
        read_aims(parse_config(CONFIG, {}), objects, requests)
    assert words in str(raised.value)


SECTIONS = [
    Section("store ü", (ok("good"), note("n"), warning("w", "do"), problem("very/secret+key ü\x1b[2J", "x")))
]


def test_text_has_a_mark_a_finding_and_an_advice_below() -> None:
    assert Shown(unicode=True).section(SECTIONS[0]) == (
        "store ü\n  ✓ good\n  - n\n  ! w\n      → do\n  ✗ very/secret+key ü?[2J\n      → x\n"
    )
    assert Shown(unicode=True).total(SECTIONS) == "1 problem, 1 warning"
    assert Shown(unicode=True).total([]) == "0 problems, 0 warnings"


def test_terminal_without_unicode_gets_ascii() -> None:
    text = Shown(unicode=False).section(SECTIONS[0])
    assert text.isascii()
    assert text.splitlines()[:2] == ["store \\xfc", "  + good"]
    assert "  x very/secret+key \\xfc?[2J\n      -> x" in text


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_secrets_of_the_configuration_are_never_shown(as_json: bool) -> None:
    shown = Shown(True, secrets_of(parse_config(CONFIG, {})))
    said = ("very/secret+key", "Bearer hidden-too", "token=hidden%20token", "token=hidden token")
    section = Section("s", tuple(ok(text) for text in said))
    text = shown.document([section]) if as_json else shown.section(section)
    assert text.count("***") == len(said)
    assert not any(word in text for word in ("secret", "hidden"))


def test_json_has_all_of_it() -> None:
    assert json.loads(Shown(False, ("very/secret+key",)).document(SECTIONS)) == {
        "problems": 1,
        "warnings": 1,
        "sections": [
            {
                "title": "store ü",
                "findings": [
                    {"level": "ok", "what": "good", "advice": None},
                    {"level": "note", "what": "n", "advice": None},
                    {"level": "warning", "what": "w", "advice": "do"},
                    {"level": "problem", "what": "*** ü\x1b[2J", "advice": "x"},
                ],
            }
        ],
    }


def test_only_problems_count_for_the_exit() -> None:
    assert has_problem(SECTIONS)
    assert not has_problem([Section("s", (ok("a"), note("b"), warning("c", "d")))])
    assert not has_problem([])


def test_every_answer_is_judged_by_every_judgement() -> None:
    """Whatever an origin answers, there is a finding: no answer falls through a table."""
    outcomes = (
        *(NotModified(Metadata()), PreconditionFailed(), Unsatisfiable(None)),
        *(served(span, 1, size=3).outcome for span in (None, Span(0, 1), Span(2, 3), Span(1, 3))),
    )
    answers: list[Answer] = [*(Served(outcome, 1) for outcome in outcomes)]
    answers += [
        kind("x: 403") for kind in (Denied, NotFound, Throttled, BadAnswer, OriginTimeout, Unavailable)
    ]
    for answer in answers:
        for found in (
            *(judge_head(answer), judge_range(answer, 3), judge_suffix(answer, 3), judge_beyond(answer, 3)),
            *(judge_if_match(answer), judge_if_none_match(answer), judge_missing(answer)),
        ):
            assert isinstance(found, Finding)
