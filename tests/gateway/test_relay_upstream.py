"""Upstreams that break off, lie, or talk too much, on raw sockets behind the gateway."""

import json
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from tests.delivery.origin import FIRST_BYTES, SECRET, Origin, serve_origin
from tests.delivery.raw_client import Connection, Leaving, fetch, until
from tests.servers.asgi import serve_in_thread

Answer = bytes | Callable[[socket.socket], None]

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

RELEASE_SECONDS = 10.0
"""How soon the upstream's connection is free again after the client has left, long before its time ends."""


@dataclass
class RawUpstream:
    """An upstream that answers each path with given bytes, and keeps what it was asked, byte for byte."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    otherwise: Answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    requests: list[bytes] = field(default_factory=list)

    def answer(self, connection: socket.socket) -> None:
        """Answer one request, and close."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            more = connection.recv(65536)
            if not more:
                return
            request += more
        self.requests.append(request)
        path = request.split(b" ")[1].decode("latin-1").partition("?")[0]
        answer = self.answers.get(path, self.otherwise)
        if isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            answer(connection)

    def last_request(self) -> tuple[str, dict[str, str]]:
        """The request line and the fields, names in lower case, of what it was asked last."""
        line, *lines = self.requests[-1].decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = [one.split(": ", 1) for one in lines]
        names = [name.lower() for name, _ in pairs]
        assert len(names) == len(set(names)), f"a field was sent twice: {names}"
        return line, {name.lower(): value for name, value in pairs}


@contextmanager
def raw_upstream() -> Iterator[RawUpstream]:
    """Run one on a free port of loopback."""
    upstream = RawUpstream()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            upstream.answer(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A gateway that hangs up is nothing to print."""

    with Server(("127.0.0.1", 0), Handler) as server:
        upstream.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join()


def ok(content: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """An answer as bytes, with no fields but these."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1") + content


def object_answer(content: bytes, *fields: str) -> bytes:
    return ok(content, f"Content-Length: {len(content)}", *fields)


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream() as running:
        yield running


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with serve_origin() as running:
        yield running


@pytest.fixture(scope="module")
def url(upstream: RawUpstream, origin: Origin) -> Iterator[str]:
    text = f"""\
[[routes]]
path = "/raw/{{key:path}}"
upstream = "{upstream.url}/{{key}}"

[[routes]]
path = "/breaks/{{how}}/{{name}}"
upstream = "{origin.url}/{{how}}/{{name}}"

[[routes]]
path = "/whole"
upstream = "{upstream.url}/"

[[routes]]
path = "/keyed/{{key:path}}"
upstream = "{upstream.url}/a%2Fb/{{key}}?token=a%20b&x=1"
[routes.request_headers]
Authorization = "Bearer the-operators"
Accept = "application/json"

[[routes]]
path = "/saved/{{key:path}}"
upstream = "{upstream.url}/{{key}}?token=secret-7f3a"
disposition = "attachment"

[[routes]]
path = "/renamed/{{key:path}}"
upstream = "{upstream.url}/{{key}}"
filename = "report.pdf"
"""
    with serve_in_thread(Gateway(parse_config(text, {}))) as served:
        yield served


# What goes to the upstream.


async def test_request_has_nothing_but_what_is_forwarded(url: str, upstream: RawUpstream) -> None:
    sent = [
        ("Accept", "image/*"),
        ("Accept-Language", "de, en;q=0.5"),
        ("Accept-Encoding", "gzip, br"),
        ("Authorization", "Bearer client"),
        ("Cookie", "a=b"),
        ("Referer", "https://example.com/"),
        ("Origin", "https://example.com"),
        ("X-Request-Id", "trace-1"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=1.2.3.4"),
        ("TE", "trailers"),
        ("Expect", "200-ok"),
        ("Range", "bytes=0-4"),
        ("If-Match", '"a"'),
        ("If-Unmodified-Since", "Tue, 01 Jul 2025 00:00:00 GMT"),
        ("If-None-Match", 'W/"c"'),
        ("If-Modified-Since", "Mon, 30 Jun 2025 00:00:00 GMT"),
    ]
    await fetch(url, "/raw/object", fields=sent)
    line, fields = upstream.last_request()
    assert line == "GET /object HTTP/1.1"
    assert fields.pop("host") == upstream.url.removeprefix("http://")
    assert fields == {
        "accept": "image/*",
        "accept-language": "de, en;q=0.5",
        "accept-encoding": "identity",
        "range": "bytes=0-4",
        "if-match": '"a"',
        # Compared weakly whatever form it has (RFC 9110, section 13.1.2), and this one every origin knows.
        "if-none-match": '"c"',
        "x-request-id": "trace-1",
    }
    await fetch(
        url,
        "/raw/object",
        fields=[field for field in sent if "None-" not in field[0] if "Match" not in field[0]],
    )
    _, fields = upstream.last_request()
    assert fields["if-unmodified-since"] == "Tue, 01 Jul 2025 00:00:00 GMT"
    assert fields["if-modified-since"] == "Mon, 30 Jun 2025 00:00:00 GMT"


async def test_plain_request_asks_for_the_content_as_it_is(url: str, upstream: RawUpstream) -> None:
    await fetch(url, "/raw/object")
    _, fields = upstream.last_request()
    del fields["host"], fields["x-request-id"]
    assert fields in ({"accept-encoding": "identity"}, {"accept-encoding": "identity", "accept": "*/*"})


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        pytest.param(
            {"traceparent": TRACEPARENT, "tracestate": "a=1"}, {"traceparent", "tracestate"}, id="whole"
        ),
        pytest.param({"traceparent": "00-1-2-3", "tracestate": "a=1"}, set(), id="broken"),
    ],
)
async def test_request_and_its_trace_are_named_to_the_upstream(
    trace: dict[str, str], expected: set[str], url: str, upstream: RawUpstream
) -> None:
    answer = await fetch(url, "/raw/object", fields=trace.items())
    _, fields = upstream.last_request()
    assert fields["x-request-id"] == answer.get("x-request-id")
    assert {name: fields[name] for name in trace if name in fields} == {
        name: trace[name] for name in expected
    }


async def test_field_that_the_client_names_in_connection_stops(url: str, upstream: RawUpstream) -> None:
    connection = await Connection.open(url)
    await connection.send(
        "GET", "/raw/object", [("Accept-Language", "de"), ("Connection", "Accept-Language")]
    )
    await connection.read_to_end()
    assert "accept-language" not in upstream.last_request()[1]


async def test_operators_fields_and_query_go_out_and_the_clients_do_not_replace_them(
    url: str, upstream: RawUpstream
) -> None:
    sent = [("Authorization", "Bearer client"), ("Accept", "text/html")]
    await fetch(url, "/keyed/c%20d/e%3Ff?token=client&y=2", fields=sent)
    line, fields = upstream.last_request()
    assert line == "GET /a%2Fb/c%20d/e%3Ff?token=a%20b&x=1 HTTP/1.1"
    assert (fields["authorization"], fields["accept"]) == ("Bearer the-operators", "application/json")


async def test_head_is_a_head_and_other_methods_never_arrive(url: str, upstream: RawUpstream) -> None:
    await fetch(url, "/raw/object", "HEAD")
    assert upstream.last_request()[0] == "HEAD /object HTTP/1.1"
    before = len(upstream.requests)
    assert (await fetch(url, "/raw/object", "OPTIONS")).status == 204
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert (await fetch(url, "/raw/object", method, body=b"x")).status == 405
    assert len(upstream.requests) == before


async def test_upstream_without_a_path_can_be_relayed(url: str, upstream: RawUpstream) -> None:
    upstream.answers["/"] = object_answer(b"front page")
    answer = await fetch(url, "/whole")
    assert (answer.status, answer.content) == (200, b"front page")


async def test_long_path_is_the_upstreams_to_judge(url: str, upstream: RawUpstream) -> None:
    name = "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 300
    answer = await fetch(url, "/raw/" + "%E6%97%A5" * 300)
    assert len(name) == 300
    assert answer.status == 200
    assert upstream.last_request()[0] == f"GET /{'%E6%97%A5' * 300} HTTP/1.1"


# What comes back.


async def test_only_fields_of_the_content_leave(url: str, upstream: RawUpstream) -> None:
    kept = (
        "Content-Type: text/plain; charset=utf-8",
        "Content-Language: de",
        'Content-Disposition: inline; filename="a.txt"',
        "Cache-Control: private, max-age=5",
        "Expires: Tue, 01 Jul 2025 00:00:00 GMT",
        'ETag: "v1"',
        "Last-Modified: Mon, 30 Jun 2025 00:00:00 GMT",
        "Vary: Accept-Language",
        "Accept-Ranges: bytes",
    )
    stopped = (
        "Server: secret/1.0",
        "Set-Cookie: session=1",
        "x-amz-request-id: 1",
        "x-amz-meta-owner: somebody",
        "X-Powered-By: PHP",
        "Via: 1.1 inner",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Trailer: X-Sum",
        "Upgrade: h2c",
        "Strict-Transport-Security: max-age=1",
        "Access-Control-Allow-Origin: *",
        "WWW-Authenticate: Basic",
        "Location: http://inner/",
        "Alt-Svc: clear",
    )
    upstream.answers["/fields"] = object_answer(b"hello", *kept, *stopped)
    answer = await fetch(url, "/raw/fields")
    own = {"date", "server", "connection", "x-request-id"}
    fields = {name: value for name, value in answer.head.fields if name not in own}
    expected = dict(line.split(": ", 1) for line in kept)
    assert fields == {
        "content-length": "5",
        "x-content-type-options": "nosniff",
        **{name.lower(): value for name, value in expected.items()},
    }
    assert "secret" not in str(answer.head.all("server"))


async def test_field_that_the_upstream_names_in_connection_stops(url: str, upstream: RawUpstream) -> None:
    upstream.answers["/named"] = object_answer(
        b"hello", "Connection: close, Cache-Control, X-Inner", "Cache-Control: no-cache", "X-Inner: 1"
    )
    answer = await fetch(url, "/raw/named")
    assert (answer.status, answer.get("cache-control"), answer.get("x-inner")) == (200, None, None)


async def test_value_that_is_not_safe_to_repeat_stops(url: str, upstream: RawUpstream) -> None:
    upstream.answers["/latin"] = object_answer(b"hello", 'Content-Disposition: inline; filename="\xe9.txt"')
    answer = await fetch(url, "/raw/latin")
    assert (answer.status, answer.content) == (200, b"hello")
    assert answer.get("content-disposition") in (None, 'inline; filename="\xe9.txt"')


async def test_upstreams_own_file_name_stays_unless_the_route_names_one(
    url: str, upstream: RawUpstream
) -> None:
    upstream.answers["/named"] = object_answer(b"hello", 'Content-Disposition: inline; filename="theirs.txt"')
    shown = [(await fetch(url, f"/{route}/named")).get("content-disposition") for route in ("raw", "renamed")]
    assert shown == ['inline; filename="theirs.txt"', 'attachment; filename="report.pdf"']


@pytest.mark.parametrize(
    ("path", "disposition"),
    [
        ("a/b.txt", 'attachment; filename="b.txt"'),
        ("a/%E6%97%A5.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%E6%97%A5.txt"),
        ("a/b%20c;d.txt", 'attachment; filename="b c;d.txt"'),
        ("a/", "attachment"),
    ],
    ids=["plain", "cjk", "punctuation", "folder"],
)
async def test_file_name_is_that_of_the_path_without_the_operators_query(
    path: str, disposition: str, url: str
) -> None:
    assert (await fetch(url, f"/saved/{path}")).get("content-disposition") == disposition


async def test_interim_answers_are_not_the_answer(url: str, upstream: RawUpstream) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    upstream.answers["/hints"] = hints + object_answer(b"hello")
    answer = await fetch(url, "/raw/hints")
    assert (answer.status, answer.content, answer.get("link")) == (200, b"hello", None)


async def test_answer_that_ends_with_its_connection_is_relayed(url: str, upstream: RawUpstream) -> None:
    upstream.answers["/until-close"] = ok(b"x" * 100_000, "Connection: close")
    answer = await fetch(url, "/raw/until-close")
    assert (answer.status, answer.content, answer.complete) == (200, b"x" * 100_000, True)


# Lies.


async def test_more_than_the_promised_length_is_not_sent(url: str, upstream: RawUpstream) -> None:
    upstream.answers["/long"] = ok(b"hello, and what nobody promised", "Content-Length: 5")
    answer = await fetch(url, "/raw/long")
    # What comes in one piece with the promised bytes is broken HTTP; what comes later is never looked at.
    assert (answer.status, answer.content) == (200, b"hello") or answer.status == 502
    assert answer.complete


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (ok(b"ello!", "Content-Range: bytes 1-5/10", "Content-Length: 5", status="206 Partial Content"), 502),
        (ok(b"hello", "Content-Range: bytes 0-4/10", "Content-Length: 7", status="206 Partial Content"), 502),
        (ok(b"hello", "Content-Length: 5", status="206 Partial Content"), 502),
        (ok(b"hello", "Content-Range: bytes 4-0/10", "Content-Length: 5", status="206 Partial Content"), 502),
        (ok(b"hello", "Content-Range: lines 0-4/10", "Content-Length: 5", status="206 Partial Content"), 502),
        (ok(b"hellohello", "Content-Length: 10"), 200),
        (ok(b"hello", "Content-Range: bytes 0-4/10", "Content-Length: 5"), 206),
        (ok(b"hello", "Content-Range: bytes 0-4/*", "Content-Length: 5", status="206 Partial Content"), 206),
        (ok(b"", "Content-Range: bytes */3", "Content-Length: 0", status="416 Range Not Satisfiable"), 416),
    ],
    ids=[
        *(
            "other-span",
            "other-length",
            "no-place",
            "backwards",
            "other-unit",
            "ignored",
            "as-200",
            "no-size",
        ),
        "unsatisfiable",
    ],
)
async def test_part_is_believed_only_where_it_fits(
    answer: bytes, status: int, url: str, upstream: RawUpstream
) -> None:
    upstream.answers["/part"] = answer
    got = await fetch(url, "/raw/part", fields=[("Range", "bytes=0-4")])
    assert got.status == status
    assert got.complete


async def test_part_that_nobody_asked_for_is_502(url: str, upstream: RawUpstream) -> None:
    place = ("Content-Range: bytes 0-4/10", "Content-Length: 5")
    upstream.answers["/unasked"] = ok(b"hello", *place, status="206 Partial Content")
    assert (await fetch(url, "/raw/unasked")).status == 502


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nNo colon here\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Type: a\x00b\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-size\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000_000 + b"\r\n\r\n",
    ],
    ids=[
        *("nothing", "ssh", "word-length", "negative-length", "two-lengths", "no-colon", "nul", "chunk-size"),
        *("half-a-head", "status", "long-field"),
    ],
)
async def test_garbage_is_502_and_says_nothing_of_itself(
    answer: bytes, url: str, upstream: RawUpstream
) -> None:
    upstream.answers["/garbage"] = answer
    got = await fetch(url, "/raw/garbage")
    assert (got.status, got.complete) == (502, True)
    assert set(json.loads(got.content)) == {"title", "status", "request_id"}
    assert got.get("cache-control") == "no-store"


@pytest.mark.parametrize("how", ["unavailable", "slow-down", "denied", "missing", "garbage", "no-content"])
async def test_failure_says_nothing_of_the_upstream(how: str, url: str, origin: Origin) -> None:
    answer = await fetch(url, f"/breaks/{how}/1")
    shown = f"{answer.head} {answer.content!r}"
    assert answer.status in (404, 502, 503)
    assert SECRET not in shown
    assert origin.url.rpartition(":")[2] not in shown
    if how == "slow-down":
        assert answer.get("retry-after") == "7"


async def test_log_of_a_failure_holds_no_secret_of_the_upstreams_address(
    url: str, upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    redirect = ok(b"", "Location: http://127.0.0.1:1/?token=7f3a", "Content-Length: 0", status="302 Found")
    part = ok(b"hello", "Content-Range: bytes 0-4/10", "Content-Length: 5", status="206 Partial Content")
    failures = (b"garbage", ok(b"", "Content-Length: 0", status="500 Oops"), redirect, part)
    for answer in (*failures, ok(b"hello", "Content-Length: 7")):
        upstream.answers["/a%2Fb/failing"] = answer
        await fetch(url, "/keyed/failing")
    said: list[str] = []

    async def is_said() -> bool:
        said[:] = [record.getMessage() for record in caplog.records if record.name == "sluicegate.transfer"]
        return len(said) == 5

    # A line is written when its answer is over.
    await until(is_said)
    assert [line for line in said if "a%20b" in line or "7f3a" in line or "the-operators" in line] == []


# Breaks after the first byte.


@pytest.mark.parametrize("how", ["early-end", "reset", "unfinished-chunks"])
async def test_body_that_breaks_is_cut_for_the_client(how: str, url: str) -> None:
    answer = await fetch(url, f"/breaks/{how}/2")
    assert (answer.status, answer.complete) == (200, False)
    assert len(answer.content) <= FIRST_BYTES


@pytest.mark.parametrize("how", ["early-end", "reset", "unfinished-chunks"])
def test_curl_sees_that_a_body_was_cut(how: str, url: str, tmp_path: Path) -> None:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    command = [program, "-sS", "--noproxy", "*", "-o", str(tmp_path / "out"), f"{url}/breaks/{how}/3"]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    # "Partial file. Only a part of the file was transferred."
    assert done.returncode == 18


async def test_cut_is_a_line_in_the_log_and_no_traceback(url: str, caplog: pytest.LogCaptureFixture) -> None:
    await fetch(url, "/breaks/early-end/4")
    ours = [record for record in caplog.records if record.name.startswith("sluicegate")]
    assert [record.levelname for record in ours] == ["ERROR"]
    assert "'outcome': 'origin_failed'" in ours[0].getMessage()
    assert ours[0].exc_info is None


# Clients that leave.


@pytest.mark.parametrize("how", ["stall-head", "stall-first", "stall-later", "endless"])
@pytest.mark.parametrize("leaving", ["close", "reset"])
async def test_client_that_leaves_frees_the_upstream_within_a_second(
    how: str, leaving: Leaving, url: str, origin: Origin
) -> None:
    name = f"{how}-{leaving}"
    connection = await Connection.open(url, receive_buffer=64 * 1024)
    await connection.send("GET", f"/breaks/{how}/{name}")
    await until(lambda: origin.is_asked(name))
    if how in ("stall-later", "endless"):
        await connection.read_some(1000)
    connection.leave(leaving)
    await until(lambda: origin.is_released(name), RELEASE_SECONDS)


async def test_client_that_leaves_after_the_body_leaves_nothing_behind(url: str, origin: Origin) -> None:
    await fetch(url, "/breaks/early-end/5")
    await until(lambda: origin.is_released("5"), RELEASE_SECONDS)
