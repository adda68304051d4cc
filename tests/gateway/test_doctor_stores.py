"""`sluicegate doctor` against real stores and services, and against those that fail or lie."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sluicegate.gateway.config import parse_config
from sluicegate.gateway.doctor import Finding, Level, Section, places, read_aims
from sluicegate.gateway.doctor_command import doctor_command
from sluicegate.testing import (
    MIB,
    Bandwidth,
    FaultyOrigin,
    Generated,
    IgnoreConditions,
    IgnoreRange,
    NewETags,
    NoAnswer,
    NoETag,
    NoLastModified,
    NoLength,
    Shorten,
    Status,
    WeakETags,
    WrongSize,
    WrongSpan,
    assert_no_leak,
)
from tests.servers.nginx import NginxServer, nginx
from tests.servers.process import ServerMissing, free_port
from tests.servers.s3 import S3Server

BUCKET = "doctor"
BIG = Generated(9 * MIB + 5)
OK, NOTE, WARNING, PROBLEM = Level.OK, Level.NOTE, Level.WARNING, Level.PROBLEM
SPEEDS = ("first byte after", "nothing came within")
UPSTREAM = '[[routes]]\npath = "/u/{{key}}"\nupstream = "{url}/b/{{key}}"\n'


@pytest.fixture(scope="module")
def store(juicefs_server: S3Server) -> S3Server:
    client = juicefs_server.client()
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="in/big.bin", Body=bytes(BIG.read()))
    client.put_object(Bucket=BUCKET, Key="in/small.txt", Body=b"hello")
    client.put_object(Bucket=BUCKET, Key="in/empty", Body=b"")
    return juicefs_server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxServer]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "b").mkdir()
    (folder / "b" / "a.bin").write_bytes(BIG.read(0, 3 * MIB))
    with ExitStack() as stack:
        try:
            running = stack.enter_context(nginx(folder, tls=True))
        except ServerMissing as missing:
            pytest.skip(str(missing))
        yield running


def s3_store(server: S3Server, **options: str) -> str:
    given = {
        "url": f"s3://{BUCKET}/in",
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        **options,
    }
    return "\n".join(["[stores.s]", *(f'{name} = "{value}"' for name, value in given.items()), ""])


def public_store(url: str, *lines: str) -> str:
    given = (f'endpoint_url = "{url}"', 'region = "us-east-1"', "anonymous = true")
    return "\n".join(['[stores.s]\nurl = "s3://b"', *given, *lines, ""])


def routed(text: str) -> str:
    """The configuration with a route, which none may be without."""
    if "[[routes]]" in text:
        return text
    name = text.removeprefix("[stores.").partition("]")[0]
    return f'{text}[[routes]]\npath = "/files/{{key:path}}"\nobject = "{name}:{{key}}"\n'


async def examined(
    text: str, *requests: str, objects: tuple[str, ...] = (), seconds: float = 5.0
) -> list[Section]:
    """What is found of a configuration, place after place."""
    config = parse_config(routed(text), {})
    return [
        Section(place.title, await place.examine())
        for place in places(config, read_aims(config, objects, requests), seconds)
    ]


async def findings(
    text: str, *requests: str, objects: tuple[str, ...] = (), seconds: float = 5.0
) -> tuple[Finding, ...]:
    """What is found of the one place that a configuration has."""
    (section,) = await examined(text, *requests, objects=objects, seconds=seconds)
    return section.findings


def one(found: tuple[Finding, ...], words: str) -> Finding:
    """The one finding that says this."""
    fitting = [finding for finding in found if words in finding.what]
    assert len(fitting) == 1, f"{words!r} in {found}"
    return fitting[0]


def levels(found: tuple[Finding, ...]) -> set[Level]:
    """The levels of all but the speeds: what is said of those may be this machine's doing."""
    return {finding.level for finding in found if not finding.what.startswith(SPEEDS)}


def speed_is_measured(found: tuple[Finding, ...]) -> bool:
    measured = ("one connection brings", "nothing came within")
    return sum(finding.what.startswith(measured) for finding in found) == 1


def advice(finding: Finding) -> str:
    assert finding.advice is not None
    return finding.advice


# Stores that are well.


@pytest.mark.parametrize("client", ["obstore", "aiobotocore", "botocore"])
async def test_good_store_has_no_problem_whatever_client_reads_it(client: str, store: S3Server) -> None:
    found = await findings(s3_store(store, client=client))
    assert levels(found) == {OK, NOTE}
    for words in (
        f"connects to {store.endpoint_url}",
        "the clocks agree",
        "the credentials are accepted, and listing is allowed: 3 objects",
        "a missing key is answered by 404",
        "tested with the object 'big.bin'",
        f"the size is told: {BIG.size} bytes",
        "the ETag is strong",
        "Last-Modified is told",
        "suffix ranges are honoured",
        "(416)",
        "(412)",
        "(304)",
        "first byte after",
        "x-amz-checksum",
    ):
        one(found, words)
    assert speed_is_measured(found)


async def test_object_that_is_named_is_the_one_to_test_with(store: S3Server) -> None:
    found = await findings(s3_store(store), objects=("s:small.txt",))
    one(found, "tested with the object 'small.txt'")
    one(found, "the ETag is the MD5 of the content")
    assert "1 MiB" in advice(one(found, "too small to measure"))


async def test_kept_checksum_is_told(moto_server: S3Server) -> None:
    client = moto_server.client()
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="in/a", Body=b"abc", ChecksumAlgorithm="SHA256")
    found = await findings(s3_store(moto_server))
    assert one(found, "the store keeps a checksum of it: sha256").level is NOTE


async def test_request_path_leads_to_an_object_of_a_store(store: S3Server) -> None:
    route = '[[routes]]\npath = "/files/{key:path}"\nobject = "s:{key}"\n'
    found = await findings(s3_store(store) + route, "/files/small.txt")
    one(found, "tested with the object 'small.txt'")


async def test_empty_object_is_no_problem(store: S3Server) -> None:
    found = await findings(s3_store(store), objects=("s:empty",))
    assert PROBLEM not in levels(found)
    one(found, "the size is told: 0 bytes")
    one(found, "too small to ask for ranges")


async def test_folder_and_memory_need_no_network(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(BIG.read(0, 2 * MIB))
    text = f'[stores.f]\nurl = "{tmp_path.as_uri()}"\n[stores.m]\nurl = "memory://"\n'
    folder, memory = await examined(text)
    assert levels(folder.findings) == {OK, NOTE}
    one(folder.findings, "listing works: 1 object looked at")
    one(folder.findings, "suffix ranges are honoured")
    assert levels(memory.findings) == {NOTE}
    one(memory.findings, "empty when it starts")


async def test_examination_leaves_nothing_behind(store: S3Server, service: NginxServer) -> None:
    async with assert_no_leak():
        await examined(s3_store(store) + UPSTREAM.format(url=service.url), "/u/a.bin")


# Credentials.


async def test_wrong_secret_is_a_problem_that_names_the_setting(store: S3Server) -> None:
    found = await findings(s3_store(store, secret_access_key="wrong-7f3a"))
    refused = one(found, "403 SignatureDoesNotMatch")
    assert refused.level is PROBLEM
    assert "secret_access_key" in advice(refused)
    assert "wrong-7f3a" not in repr(found)


async def test_unknown_access_key_is_a_problem_that_names_the_setting(store: S3Server) -> None:
    found = await findings(s3_store(store, access_key_id="nobody"))
    assert "access_key_id" in advice(one(found, "403 InvalidAccessKeyId"))


async def test_bucket_that_is_not_there_is_named(store: S3Server) -> None:
    found = await findings(s3_store(store, url="s3://no-such-bucket"))
    missing = one(found, "there is no such bucket")
    assert missing.level is PROBLEM
    assert "name in url" in advice(missing)


async def test_expired_token_asks_for_a_new_one() -> None:
    with FaultyOrigin() as origin:
        origin.always(Status(403, error="ExpiredToken"))
        found = await findings(public_store(origin.url))
    assert "new temporary credentials" in advice(one(found, "the session token has expired"))


async def test_profile_that_is_not_there_is_a_problem(store: S3Server) -> None:
    text = '[stores.s]\nurl = "s3://b"\nregion = "us-east-1"\nprofile = "nobody"\n'
    found = await findings(f'{text}endpoint_url = "{store.endpoint_url}"\n')
    told = one(found, "no credentials can be had")
    assert (told.level, "nobody" in told.what) == (PROBLEM, True)


async def test_profile_of_a_process_tells_when_its_credentials_end(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {
        "Version": 1,
        "AccessKeyId": store.access_key,
        "SecretAccessKey": store.secret_key,
        "SessionToken": "token",
        "Expiration": "2099-01-02T03:04:05Z",
    }
    (tmp_path / "told.json").write_text(json.dumps(told))
    (tmp_path / "config").write_text(
        f"[profile temporary]\ncredential_process = cat {tmp_path / 'told.json'}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    text = '[stores.s]\nurl = "s3://b"\nregion = "us-east-1"\nprofile = "temporary"\n'
    found = await findings(f'{text}endpoint_url = "{store.endpoint_url}"\n')
    one(found, "refreshed by themselves, at present until 2099-01-02 03:04 UTC")


async def test_credential_process_that_fails_is_a_problem_without_its_words(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(
        "[profile broken]\ncredential_process = sh -c 'echo hidden-7f3a >&2; exit 1'\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    text = '[stores.s]\nurl = "s3://b"\nregion = "us-east-1"\nprofile = "broken"\n'
    found = await findings(f'{text}endpoint_url = "{store.endpoint_url}"\n')
    assert one(found, "profile 'broken': CredentialRetrievalError").level is PROBLEM
    assert "hidden-7f3a" not in repr(found)


async def test_listing_that_is_denied_leaves_the_named_object_to_test_with() -> None:
    with FaultyOrigin() as origin:
        origin.put("b/a.bin", BIG)
        origin.always(Status(403), when=lambda request: request.path != "b/a.bin")
        found = await findings(public_store(origin.url), objects=("s:a.bin",))
    assert PROBLEM not in levels(found)
    assert "s3:ListBucket" in advice(one(found, "listing is not allowed"))
    assert "s3:ListBucket" in advice(one(found, "cannot be told apart"))
    one(found, "suffix ranges are honoured")


async def test_without_an_object_it_is_said_how_to_name_one() -> None:
    with FaultyOrigin() as origin:
        origin.put("b/empty", b"")
        found = await findings(public_store(origin.url))
    assert "--object" in advice(one(found, "there is no object to test with"))


# Services.


async def test_good_service_has_no_problem(service: NginxServer) -> None:
    found = await findings(UPSTREAM.format(url=service.url), "/u/a.bin")
    assert levels(found) == {OK, NOTE}
    one(found, f"tested with {service.url}/b/a.bin")
    assert speed_is_measured(found)


async def test_service_without_a_path_is_connected_to_and_no_more(service: NginxServer) -> None:
    found = await findings(UPSTREAM.format(url=service.url))
    one(found, "the clocks agree")
    assert "--request" in advice(one(found, "no answer of it was looked at"))


async def test_routes_to_one_service_are_one_place(service: NginxServer) -> None:
    other = f'[[routes]]\npath = "/fixed"\nupstream = "{service.url}/b/a.bin"\n'
    found = await findings(UPSTREAM.format(url=service.url) + other)
    one(found, f"tested with {service.url}/b/a.bin")


async def test_certificate_of_an_authority_that_is_named_is_accepted(service: NginxServer) -> None:
    text = UPSTREAM.format(url=service.tls_url) + f'tls_verify = "{service.ca_file}"\n'
    found = await findings(text, "/u/a.bin")
    assert PROBLEM not in levels(found)
    one(found, "TLS version TLSv1.")
    one(found, "the certificate is valid until")


@pytest.mark.parametrize(
    ("certificate", "verify", "words", "asks"),
    [
        ("expired", "ca", "has expired", "renew the certificate"),
        ("wrong-host", "ca", "is not accepted", "a name that the certificate is for"),
        ("untrusted", "ca", "is not accepted", "set tls_verify"),
        ("good", "true", "is not accepted", "set tls_verify"),
    ],
    ids=["expired", "other-name", "untrusted", "own-authority"],
)
async def test_bad_certificate_says_what_to_do(certificate: str, verify: str, words: str, asks: str) -> None:
    with FaultyOrigin(tls=certificate) as origin:  # type: ignore[arg-type]
        value = f'"{origin.ca_file}"' if verify == "ca" else verify
        found = await findings(public_store(origin.url, f"tls_verify = {value}"))
    told = one(found, words)
    assert told.level is PROBLEM
    assert asks in advice(told)
    # What needs no connection is looked at all the same.
    one(found, "anonymous = true")


async def test_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with FaultyOrigin(tls=True) as origin:
        found = await findings(public_store(origin.url, f'tls_verify = "{tmp_path / "ca.pem"}"'))
    assert "PEM" in advice(one(found, f"CA certificates cannot be read from '{tmp_path / 'ca.pem'}'"))


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
async def test_certificate_that_is_not_checked_is_a_warning() -> None:
    with FaultyOrigin(tls="expired") as origin:
        origin.put("b/a.bin", b"abc")
        found = await findings(public_store(origin.url, "tls_verify = false"))
    assert one(found, "the certificate is not checked").level is WARNING
    one(found, "the ETag is strong")


async def test_plain_service_behind_https_says_so(service: NginxServer) -> None:
    found = await findings(public_store(service.url.replace("http:", "https:")))
    assert "http://" in advice(one(found, "has no TLS that can be agreed on"))


async def test_service_that_is_silent_behind_https_says_so_too() -> None:
    with FaultyOrigin() as origin:
        origin.ignore()
        found = await findings(public_store(origin.url.replace("http:", "https:")), seconds=2)
    assert "http://" in advice(one(found, "has no TLS that can be agreed on: no answer in time"))


# Places that cannot be reached.


@pytest.mark.parametrize("kind", ["store", "upstream"])
async def test_refused_port_asks_whether_the_service_runs(kind: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    found = await findings(public_store(url) if kind == "store" else UPSTREAM.format(url=url), seconds=2)
    told = one(found, "Connection refused")
    assert told.level is PROBLEM
    assert "the service runs" in advice(told)


async def test_name_that_does_not_resolve_asks_for_its_spelling() -> None:
    found = await findings(public_store("http://nonexistent.invalid"))
    told = one(found, "'nonexistent.invalid' does not resolve")
    assert told.level is PROBLEM
    assert "spelling" in advice(told)


async def test_place_that_fails_hides_no_other(store: S3Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    broken = public_store("http://nonexistent.invalid").replace("stores.s", "stores.broken")
    folder = f'[stores.f]\nurl = "{tmp_path.as_uri()}"\n'
    first, second, third = await examined(broken + folder + s3_store(store))
    assert PROBLEM in levels(first.findings)
    assert PROBLEM not in levels(second.findings) | levels(third.findings)


async def test_proxy_of_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyOrigin() as origin:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        found = await findings(public_store(origin.url))
        assert "no_proxy" in advice(one(found, "the environment names a proxy"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        one(await findings(public_store(origin.url)), f"connects to {origin.url}")


# Origins that fail, and those that lie.


@pytest.mark.parametrize(
    ("kind", "fault", "words", "level"),
    [
        ("store", IgnoreRange(), "ranges are ignored", WARNING),
        ("store", WrongSpan(), "bytes=0-0", PROBLEM),
        ("store", Status(404), "the object cannot be read", PROBLEM),
        ("upstream", IgnoreRange(), "ranges are ignored", WARNING),
        ("upstream", IgnoreConditions(), "If-Match is ignored", NOTE),
        ("upstream", WeakETags(), "the ETag is weak", WARNING),
        ("upstream", NoETag(), "there is no ETag", WARNING),
        ("upstream", NewETags(), "the ETag differs between two answers", WARNING),
        ("upstream", WrongSpan(), "bytes=0-0", PROBLEM),
        ("upstream", WrongSize(), "bytes are the whole, HEAD says", PROBLEM),
        ("upstream", Status(404), "the object cannot be read", PROBLEM),
    ],
    ids=lambda value: value if value in ("store", "upstream") else type(value).__name__.lower(),
)
async def test_fault_is_found(kind: str, fault: object, words: str, level: Level) -> None:
    with FaultyOrigin() as origin:
        origin.put("b/a.bin", b"0123456789")
        origin.fail("b/a.bin", fault)  # type: ignore[arg-type]
        found = await (
            findings(public_store(origin.url), objects=("s:a.bin",))
            if kind == "store"
            else findings(UPSTREAM.format(url=origin.url), "/u/a.bin")
        )
    told = [finding for finding in found if words in finding.what and finding.level is level]
    assert told, found
    assert level is NOTE or all(finding.advice for finding in told)
    # One fault hides nothing of the rest.
    one(found, "the clocks agree")


@pytest.mark.parametrize(
    ("fault", "words", "level"),
    [
        (IgnoreRange(), "the size is not told", WARNING),
        (NoLastModified(), "there is no Last-Modified", NOTE),
        (Shorten(by=3), "bytes came of an object", PROBLEM),
        (Status(405), "HEAD is not answered", NOTE),
    ],
    ids=["no-length", "no-date", "short", "no-head"],
)
async def test_fault_of_a_service_is_found(fault: object, words: str, level: Level) -> None:
    with FaultyOrigin() as origin:
        origin.put("b/a.bin", b"0123456789")
        if isinstance(fault, IgnoreRange):
            origin.fail("b/a.bin", fault, NoLength())
        elif isinstance(fault, Status):
            origin.fail("b/a.bin", fault, when=lambda request: request.method == "HEAD")
        elif isinstance(fault, Shorten):
            origin.fail(
                "b/a.bin", fault, when=lambda request: request.range is None and request.method == "GET"
            )
        else:
            origin.fail("b/a.bin", fault)  # type: ignore[arg-type]
        found = await findings(UPSTREAM.format(url=origin.url), "/u/a.bin")
    assert one(found, words).level is level


async def test_origin_that_never_answers_costs_its_time_and_no_more() -> None:
    with FaultyOrigin() as origin:
        origin.put("b/a.bin", BIG)
        origin.fail("b/a.bin", NoAnswer())
        async with assert_no_leak():
            found = await findings(UPSTREAM.format(url=origin.url), "/u/a.bin", seconds=2)
    assert one(found, "HEAD fails").level is PROBLEM
    assert "nothing within 2 s" in one(found, "HEAD fails").what


async def test_slow_connections_make_read_ahead_worth_it() -> None:
    with FaultyOrigin() as origin:
        origin.put("b/a.bin", Generated(2 * MIB))
        origin.fail("b/a.bin", Bandwidth(MIB / 2), when=lambda request: request.range is not None)
        found = await findings(UPSTREAM.format(url=origin.url), "/u/a.bin")
    told = one(found, "one connection brings")
    assert told.level is OK
    assert "read-ahead helps" in told.what


@contextmanager
def clock_off_by(offset: timedelta, folder: Path) -> Iterator[str]:
    """The standard library's file server, with its clock set wrongly: it has neither ranges nor ETags."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def date_time_string(self, timestamp: float | None = None) -> str:
            if timestamp is not None:
                return super().date_time_string(timestamp)  # type: ignore[arg-type]
            return format_datetime(datetime.now(UTC) + offset, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("minutes", "words", "level"),
    [
        (20, "20 min behind", PROBLEM),
        (-20, "20 min ahead of", PROBLEM),
        (5, "5 min behind", WARNING),
        (0, "the clocks agree", OK),
    ],
)
async def test_clock_that_is_wrong_is_told(minutes: int, words: str, level: Level, tmp_path: Path) -> None:
    with clock_off_by(timedelta(minutes=minutes), tmp_path) as url:
        store = public_store(url).replace("anonymous = true", 'access_key_id = "a"\nsecret_access_key = "b"')
        told = one(await findings(store), words)
    assert told.level is level
    assert level is OK or "NTP" in advice(told)


async def test_service_with_neither_ranges_nor_tags_is_told_what_it_loses(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.bin").write_bytes(b"0123456789")
    with clock_off_by(timedelta(minutes=20), tmp_path) as url:
        found = await findings(UPSTREAM.format(url=url), "/u/a.bin")
    # Nothing is signed, so that a wrong clock is no problem.
    assert levels(found) == {OK, NOTE, WARNING}
    assert "switch ranges on" in advice(one(found, "ranges are ignored"))
    assert "send an ETag" in advice(one(found, "there is no ETag"))


# The command.


def invoke(folder: Path, text: str, *arguments: str) -> Result:
    config = folder / "sluicegate.toml"
    config.write_text(routed(text))
    return CliRunner().invoke(doctor_command, [str(config), *arguments])


def test_command_prints_text_and_ends_with_0_without_problems(store: S3Server, tmp_path: Path) -> None:
    done = invoke(tmp_path, s3_store(store))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"store s (s3://{BUCKET}/in)\n  ✓ connects to")
    warnings = [line[4:] for line in done.stdout.splitlines() if line.startswith("  ! ")]
    assert [line for line in warnings if not line.startswith(SPEEDS)] == []
    assert done.stdout.endswith(f"\n0 problems, {len(warnings)} warning{'' if len(warnings) == 1 else 's'}\n")
    assert store.secret_key not in done.output


def test_command_prints_json_and_ends_with_1_with_problems(store: S3Server, tmp_path: Path) -> None:
    done = invoke(tmp_path, s3_store(store, secret_access_key="wrong-7f3a"), "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["problems"], told["sections"][0]["title"]) == (1, f"store s (s3://{BUCKET}/in)")
    assert "wrong-7f3a" not in done.output


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ('[stores.s]\nurl = "ftp://b"\n', (), "stores.s.url"),
        ('[stores.s]\nurl = "memory://"\n', ("--object", "t:a"), "expected one of s"),
        ('[stores.s]\nurl = "memory://"\n', ("--request", "/a"), "no route has this path"),
    ],
    ids=["configuration", "object", "request"],
)
def test_what_cannot_be_examined_ends_with_2(
    text: str, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = invoke(tmp_path, text, *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""


@contextmanager
def started(folder: Path, text: str, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    config = folder / "sluicegate.toml"
    config.write_text(text)
    # Who runs the tests in the background of a shell hands on that SIGINT is ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from sluicegate.gateway.doctor_command import doctor_command; doctor_command()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(config), "--request", "/u/a.bin"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_interrupt_ends_it_at_once_and_without_a_traceback(tmp_path: Path) -> None:
    with FaultyOrigin() as origin:
        origin.put("b/a.bin", BIG)
        origin.fail("b/a.bin", NoAnswer())
        with started(tmp_path, UPSTREAM.format(url=origin.url)) as process:
            waits: Callable[[FaultyOrigin], object] = lambda o: any(r.path == "b/a.bin" for r in o.requests)  # noqa: E731
            origin.wait_for(waits, 20)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=8)
        origin.wait_until_idle()
    assert (process.returncode, out) == (130, "")
    assert err == "interrupted: what is missing was not looked at\n"


def test_terminal_without_unicode_gets_ascii(service: NginxServer, tmp_path: Path) -> None:
    text = UPSTREAM.format(url=service.url)
    with started(tmp_path, text, PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.isascii()
    assert "\n  + connects to" in out


async def test_upstream_is_reached_by_all_settings_of_its_route() -> None:
    with FaultyOrigin() as origin:
        origin.put("b/a.bin", BIG)
        text = f"{UPSTREAM.format(url=origin.url)}public_only = true\n"
        (section,) = await examined(text, "/u/a.bin")
    problems = [finding.what for finding in section.findings if finding.level is Level.PROBLEM]
    assert any("cannot be opened" in what for what in problems), section
