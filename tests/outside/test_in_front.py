"""The gateway behind nginx and HAProxy: what clients get there is what it answers, also when it fails, and
who they are is who they are.
"""

import hashlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from tests.conftest import started
from tests.gateway.test_cli_serve import Served, serving
from tests.gateway.test_relay_upstream import raw_upstream

from .proxies import PROXIES

SECRET = "0123456789-0123456789-0123456789-0123456789"
CONTENT = os.urandom(300_000)
LARGE_SIZE = 48 * 1024 * 1024
RELOADS = 5
READERS = 3
WAIT_SECONDS = 20.0
"""For what takes a moment: longer is a hang."""

ALICE, BOB = "127.0.0.7", "127.0.0.8"
"""Two clients: every address of 127.0.0.0/8 is one of this machine. 127.0.0.1 alone is trusted."""

CONFIG = f"""
[gateway]
trusted_proxies = ["127.0.0.1"]

[auth.links]
type = "signed"
keys = {{ k1 = "{SECRET}" }}

[defaults]
auth = "public"

[stores.files]
url = "file://./objects"

[[routes]]
path = "/files/{{key:path}}"
object = "files:{{key}}"
headers = {{ X-Version = "VERSION" }}

[[routes]]
path = "/links/{{key:path}}"
object = "files:{{key}}"
auth = "links"

[[routes]]
path = "/few/{{key:path}}"
object = "files:{{key}}"
limits = {{ client_requests = "2/day" }}

[[routes]]
path = "/upstream/{{key:path}}"
upstream = "UPSTREAM/{{key}}"
"""

# Of these a proxy has its own.
OF_THE_HOP = {"date", "server", "connection", "keep-alive", "transfer-encoding", "x-request-id"}

links = SignedLinks({"k1": SECRET})


@dataclass(frozen=True, slots=True)
class Fronted:
    """A gateway with a proxy in front: the URL of the proxy, and the gateway with its file."""

    url: str
    gateway: Served
    config: Path

    @property
    def port(self) -> int:
        return urlsplit(self.gateway.url).port or 0

    def configure(self, version: str) -> None:
        """Have the gateway answer with a version from its next configuration on."""
        new = self.config.with_suffix(".new")
        new.write_text(re.sub(r'X-Version = "[^"]*"', f'X-Version = "{version}"', self.config.read_text()))
        new.replace(self.config)
        self.gateway.process.send_signal(signal.SIGHUP)


@pytest.fixture(scope="module", params=list(PROXIES))
def fronted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronted]:
    folder = tmp_path_factory.mktemp("fronted")
    (folder / "objects").mkdir()
    (folder / "objects" / "a.bin").write_bytes(CONTENT)
    (folder / "objects" / "large.bin").write_bytes(os.urandom(LARGE_SIZE))
    config = folder / "sluicegate.toml"
    with ExitStack() as stack:
        upstream = stack.enter_context(raw_upstream())
        half = CONTENT[:150_000]
        head = b"HTTP/1.1 200 OK\r\n"
        upstream.answers["/length"] = head + b"Content-Length: 300000\r\n\r\n" + half
        upstream.answers["/chunked"] = head + b"Transfer-Encoding: chunked\r\n\r\n249f0\r\n" + half + b"\r\n"
        config.write_text(CONFIG.replace("UPSTREAM", upstream.url))
        gateway = stack.enter_context(serving(config))
        port = urlsplit(gateway.url).port
        assert port is not None
        url = stack.enter_context(started(PROXIES[request.param](port)))
        yield Fronted(url, gateway, config)


def client(address: str = "127.0.0.1") -> httpx.Client:
    """A client of this address, which follows no proxy of the environment."""
    transport = httpx.HTTPTransport(local_address=address, verify=False)
    return httpx.Client(transport=transport, trust_env=False, timeout=WAIT_SECONDS)


def get(url: str, address: str = "127.0.0.1", method: str = "GET", **fields: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    with client(address) as asking:
        return asking.request(method, url, headers={"accept-encoding": "identity", **named})


def told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """What an answer says, without what is of its connection, and with one boundary for all."""
    fields = {name: value for name, value in answer.headers.items() if name not in OF_THE_HOP}
    kind, separator, boundary = fields.get("content-type", "").partition("boundary=")
    if not separator:
        return answer.status_code, fields, answer.content
    fields["content-type"] = kind
    return answer.status_code, fields, answer.content.replace(boundary.strip('"').encode(), b"BOUNDARY")


@pytest.mark.parametrize(
    ("fields", "method", "status"),
    [
        pytest.param({}, "GET", 200, id="whole"),
        pytest.param({}, "HEAD", 200, id="head"),
        pytest.param({"range": "bytes=1000-1999"}, "GET", 206, id="range"),
        pytest.param({"range": "bytes=-500"}, "GET", 206, id="suffix"),
        pytest.param({"range": "bytes=0-99,2000-2099"}, "GET", 206, id="two-ranges"),
        pytest.param({"range": "bytes=400000-"}, "GET", 416, id="beyond"),
        pytest.param({"range": "bytes=0-9", "if_range": "ETAG"}, "GET", 206, id="if-range-same"),
        pytest.param({"range": "bytes=0-9", "if_range": '"other"'}, "GET", 200, id="if-range-other"),
        pytest.param({"if_none_match": "ETAG"}, "GET", 304, id="not-modified"),
        pytest.param({"if_none_match": "ETAG"}, "HEAD", 304, id="head-not-modified"),
        pytest.param({"if_match": '"other"'}, "GET", 412, id="other-version"),
    ],
)
def test_answer_through_a_proxy_is_the_answer(
    fronted: Fronted, fields: dict[str, str], method: str, status: int
) -> None:
    direct = f"{fronted.gateway.url}/files/a.bin"
    etag = get(direct, method="HEAD").headers["etag"]
    named = {name: value.replace("ETAG", etag) for name, value in fields.items()}
    given = {"x_request_id": "one", **named}
    through, own = (
        get(f"{fronted.url}/files/a.bin", method=method, **given),
        get(direct, method=method, **given),
    )
    assert own.status_code == status
    assert told(through) == told(own)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/links/a.bin", 403, id="no-link"),
        pytest.param("/files/none", 404, id="missing"),
        pytest.param("/files/a%2F%2e%2e%2Fb", 400, id="dot-segment"),
    ],
)
def test_refusal_reaches_the_client(fronted: Fronted, path: str, status: int) -> None:
    # As it was written: the client would resolve the path before it sends it.
    answer = get(f"{fronted.url}{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_large_file_is_byte_exact(fronted: Fronted) -> None:
    found = hashlib.sha256()
    with client() as asking, asking.stream("GET", f"{fronted.url}/files/large.bin") as answer:
        for chunk in answer.iter_raw():
            found.update(chunk)
    assert (
        found.digest() == hashlib.sha256((fronted.config.parent / "objects/large.bin").read_bytes()).digest()
    )


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_cut_body_is_seen_as_cut(fronted: Fronted, framing: str) -> None:
    received = bytearray()
    with client() as asking, asking.stream("GET", f"{fronted.url}/upstream/{framing}") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            take(answer, received)
    assert CONTENT.startswith(received)


def take(answer: httpx.Response, received: bytearray) -> None:
    """Read an answer to its end, and keep what came before it."""
    for chunk in answer.iter_raw():
        received += chunk


def test_link_of_a_network_goes_by_the_address_of_the_client(fronted: Fronted) -> None:
    link = links.link("/links/a.bin", 60, LinkClaims(network=f"{ALICE}/32"))
    assert get(fronted.url + link, ALICE).content == CONTENT
    assert get(fronted.url + link, BOB).status_code == 403
    # Who says so himself is not believed: the proxy replaces it, or adds whom it has heard from.
    assert get(fronted.url + link, BOB, x_forwarded_for=ALICE).status_code == 403
    assert get(fronted.url + link, ALICE, x_forwarded_for=BOB).content == CONTENT


def test_forged_address_of_somebody_untrusted_is_not_believed(fronted: Fronted) -> None:
    link = links.link("/links/a.bin", 60, LinkClaims(network=f"{ALICE}/32"))
    assert get(fronted.gateway.url + link, BOB, x_forwarded_for=ALICE).status_code == 403
    assert get(fronted.gateway.url + link, ALICE, x_forwarded_for=BOB).content == CONTENT


def test_clients_behind_a_proxy_are_counted_each(fronted: Fronted) -> None:
    answers = [get(f"{fronted.url}/few/a.bin", ALICE) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert get(f"{fronted.url}/few/a.bin", BOB).content == CONTENT


def test_connections_are_kept_on_both_sides(fronted: Fronted) -> None:
    ours, theirs = set(), set()
    with client() as asking:
        for _ in range(20):
            with asking.stream("GET", f"{fronted.url}/files/a.bin", headers={"range": "bytes=0-9"}) as answer:
                answer.read()
                ours.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
            theirs |= peers(fronted)
    assert len(ours) == 1
    # One that an earlier test has left open may be taken as well.
    assert len(theirs) <= 3


def peers(fronted: Fronted) -> set[object]:
    """Who is connected to the gateway."""
    return {
        one.raddr
        for one in fronted.gateway.process.net_connections("tcp")
        if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == fronted.port
    }


def test_no_request_fails_while_the_gateway_is_reloaded(fronted: Fronted) -> None:
    end, seen, failures = threading.Event(), list[str](), list[str]()

    def read() -> None:
        with client() as asking:
            while not end.is_set():
                try:
                    answer = asking.get(f"{fronted.url}/files/a.bin")
                    seen.append(answer.headers["x-version"])
                    if answer.content != CONTENT:
                        failures.append("other content")
                except (httpx.HTTPError, KeyError) as exc:
                    failures.append(repr(exc))

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    with client() as asking, asking.stream("GET", f"{fronted.url}/files/large.bin") as long:
        for reader in readers:
            reader.start()
        try:
            for number in range(RELOADS):
                fronted.configure(f"v{number}")
                wait_for(seen, f"v{number}")
        finally:
            end.set()
            for reader in readers:
                reader.join(WAIT_SECONDS)
        # Begun before the first one, and read after the last one.
        assert sum(len(chunk) for chunk in long.iter_raw()) == LARGE_SIZE
    assert failures == []
    assert {f"v{number}" for number in range(RELOADS)} <= set(seen)
    assert "Traceback" not in fronted.gateway.log.read_text()


def wait_for(seen: list[str], version: str) -> None:
    """Wait until somebody was answered by the configuration of this version."""
    deadline = time.monotonic() + WAIT_SECONDS
    while version not in seen:
        assert time.monotonic() < deadline, f"nobody has seen {version}, but {sorted(set(seen))}"
        time.sleep(0.01)
