"""The admin application over a real socket: what it shows, and whom it lets ask."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluicegate.access.links import SignedLinks
from sluicegate.gateway.admin import LARGEST_CONTENT, AdminApp, AdminTools
from sluicegate.gateway.config import parse_config
from sluicegate.gateway.link_desk import signed_link
from sluicegate.gateway.metrics import Exposition, Metrics
from sluicegate.gateway.readiness import Check, ReadinessReport
from sluicegate.gateway.reloading import ReloadResult
from sluicegate.gateway.shared_metrics import CannotMeasure
from tests.servers.asgi import serve_in_thread

from .records import record

SECRET = "0123456789-0123456789-0123456789"
CONFIG = parse_config(
    '[stores.s]\nurl = "memory://"\n'
    f'[auth.links]\ntype = "signed"\nkeys = {{ k1 = "{SECRET}" }}\n'
    '[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\nauth = "links"\n',
    {},
)
CHECK = Check("store 's'", True, "answers", 0.01, 3.0)


@dataclass
class Operated:
    """A gateway to look after, as far as the admin application knows one."""

    metrics: Metrics = field(default_factory=lambda: Metrics("1.2.3"))
    ready: bool = True
    valid: bool = True
    measurable: bool = True
    reloads: int = 0
    file: Path | None = None
    revoked: list[str] = field(default_factory=list)

    async def report(self) -> ReadinessReport:
        return ReadinessReport(self.ready, (CHECK,))

    async def reload(self) -> ReloadResult:
        self.reloads += 1
        return (
            ReloadResult(True, "applied")
            if self.valid
            else ReloadResult(False, "sluicegate.toml:3: not a size")
        )

    def exposition(self, accept: str) -> Exposition:
        if not self.measurable:
            raise CannotMeasure("the files changed all the time")
        return self.metrics.exposition(accept)

    def app(self) -> AdminApp:
        tools = AdminTools(
            exposition=self.exposition,
            report=self.report,
            config=lambda: {"title": "é", "key": "***"},
            reload=self.reload,
            sign=partial(signed_link, CONFIG),
            revoke=self.revoke,
            file=self.file,
        )
        return AdminApp(tools, hosts=["admin.example.org"])

    def revoke(self, asked: Mapping[str, object]) -> Mapping[str, object]:
        self.revoked.append(str(asked["id"]))
        return {"revoked": asked["id"]}


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[str, str]
    content: str


@pytest.fixture(scope="module")
def operated() -> Operated:
    return Operated()


@pytest.fixture(scope="module")
def url(operated: Operated) -> Iterator[str]:
    with serve_in_thread(operated.app()) as served:
        yield served


@pytest.fixture(autouse=True)
def fresh(operated: Operated) -> None:
    operated.ready = operated.valid = operated.measurable = True
    operated.reloads = 0


def ask(url: str, path: str, method: str = "GET", content: str | None = None, **fields: str) -> Answer:
    place = urlsplit(url)
    assert place.hostname is not None
    connection = HTTPConnection(place.hostname, place.port or 0, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, path, content, headers=named)
        response = connection.getresponse()
        content = response.read().decode()
        return Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, content
        )
    finally:
        connection.close()


def test_numbers_are_shown_in_the_format_that_is_accepted(url: str, operated: Operated) -> None:
    operated.metrics(record())
    plain = ask(url, "/metrics")
    other = ask(url, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert (plain.status, plain.fields["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    names = {family.name for family in text_string_to_metric_families(plain.content)}
    assert {"sluicegate_requests", "sluicegate_build_info", "process_cpu_seconds"} <= names
    assert other.fields["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert other.content.endswith("# EOF\n")


def test_numbers_that_cannot_be_had_are_an_error_and_no_wrong_numbers(url: str, operated: Operated) -> None:
    operated.measurable = False
    answer = ask(url, "/metrics")
    assert (answer.status, answer.content) == (503, "the files changed all the time\n")


def test_health_is_that_of_the_process(url: str, operated: Operated) -> None:
    operated.ready = False
    assert (ask(url, "/healthz").status, ask(url, "/healthz").content) == (200, "ok\n")


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_readiness_says_what_each_source_said(ready: bool, status: int, url: str, operated: Operated) -> None:
    operated.ready = ready
    answer = ask(url, "/readyz")
    assert (answer.status, answer.fields["content-type"]) == (status, "application/json")
    check = {"name": "store 's'", "ok": True, "message": "answers", "seconds": 0.01, "age_seconds": 3.0}
    assert json.loads(answer.content) == {"ready": ready, "checks": [check]}


def test_configuration_is_shown_as_json(url: str) -> None:
    assert json.loads(ask(url, "/config").content) == {"title": "é", "key": "***"}


@pytest.mark.parametrize(
    ("valid", "status", "message"),
    [(True, 200, "applied"), (False, 422, "sluicegate.toml:3: not a size")],
)
def test_reload_says_what_came_of_it(
    valid: bool, status: int, message: str, url: str, operated: Operated
) -> None:
    operated.valid = valid
    answer = ask(url, "/reload", "POST")
    assert (answer.status, operated.reloads) == (status, 1)
    assert json.loads(answer.content) == {"ok": valid, "message": message}


@pytest.mark.parametrize(
    ("named", "status", "reloads"),
    [
        pytest.param("real.toml", 200, 1, id="same"),
        pytest.param("other.toml", 409, 0, id="another"),
        pytest.param(None, 200, 1, id="nothing"),
    ],
)
def test_reload_of_another_file_is_refused(
    named: str | None, status: int, reloads: int, tmp_path: Path
) -> None:
    operated = Operated(file=tmp_path / "link.toml")
    (tmp_path / "real.toml").touch()
    (tmp_path / "link.toml").symlink_to("real.toml")
    content = json.dumps({} if named is None else {"config": str(tmp_path.resolve() / named)})
    with serve_in_thread(operated.app()) as url:
        answer = ask(url, "/reload", "POST", content)
    assert (answer.status, operated.reloads) == (status, reloads)
    assert ("real.toml" in answer.content) == ("other.toml" in answer.content) == (status == 409)


@pytest.mark.parametrize("content", ["[]", "{", "\xff"])
def test_reload_with_content_that_is_no_document_is_refused(
    content: str, url: str, operated: Operated
) -> None:
    answer = ask(url, "/reload", "POST", content)
    assert (answer.status, operated.reloads) == (400, 0)


def test_a_link_is_made_of_what_is_asked(url: str) -> None:
    asked = {"path": "/a.jpg", "expires_in": 60, "uses": 2, "filename": "a b.jpg"}
    answer = json.loads(ask(url, "/links", "POST", json.dumps(asked)).content)
    path, _, token = answer["link"].partition("?link=")
    found = SignedLinks({"k1": SECRET}).check(token, "GET", path)
    assert found.claims.id == answer["id"]
    assert (found.claims.uses, found.claims.filename) == (2, "a b.jpg")


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        ("", 400, "JSON"),
        ("[]", 400, "object"),
        ("[" * 5000, 400, "JSON"),
        ("{}", 422, "path"),
        ('{"path": "a", "expires_in": 1}', 422, "path"),
        ('{"path": "/a", "expires_in": "1"}', 422, "expires_in"),
        ('{"path": "/a", "expires_in": NaN}', 422, "expires_in"),
        ('{"path": "/a/..", "expires_in": 1}', 422, "path"),
        ('{"path": "/a", "expires_in": 1, "is_prefix": true}', 422, "prefix"),
        ('{"path": "/a", "expires_in": 1, "uses": "2"}', 422, "uses"),
        ('{"path": "/a", "expires_in": 1, "network": "home"}', 422, "network"),
        ('{"path": "/a", "expires_in": 1, "until": 2}', 422, "until"),
        ('{"path": "/a", "expires_in": 1, "auth": "other"}', 422, "auth"),
        (r'{"\ud800": 1}', 422, r"'\ud800': not known"),
        (r'{"path": "/\ud800", "expires_in": 1}', 422, "path"),
        (" " * (LARGEST_CONTENT + 1), 413, "bytes"),
    ],
)
def test_what_is_no_link_is_told(content: str, status: int, said: str, url: str) -> None:
    answer = ask(url, "/links", "POST", content)
    assert (answer.status, said in answer.content, SECRET in answer.content) == (status, True, False)


def test_a_link_is_revoked_by_its_id(url: str, operated: Operated) -> None:
    answer = ask(url, "/revoke", "POST", '{"id": "abc"}')
    assert (answer.status, operated.revoked) == (200, ["abc"])


def test_first_page_leads_to_all_others(url: str) -> None:
    answer = ask(url, "/")
    assert answer.fields["content-type"] == "text/html; charset=utf-8"
    for path in ("/metrics", "/healthz", "/readyz", "/config", "/reload", "/links", "/revoke"):
        assert f'<a href="{path}">' in answer.content


@pytest.mark.parametrize(
    ("asked", "status", "allow"),
    [
        ("HEAD /metrics", 200, None),
        ("POST /metrics", 405, "GET, HEAD"),
        ("PUT /config", 405, "GET, HEAD"),
        ("OPTIONS /", 405, "GET, HEAD"),
        ("GET /reload", 405, "POST"),
        ("HEAD /reload", 405, "POST"),
        ("GET /metrics/", 404, None),
        ("GET /secret", 404, None),
        ("GET /%2e%2e/config", 404, None),
    ],
)
def test_nothing_else_is_there(
    asked: str, status: int, allow: str | None, url: str, operated: Operated
) -> None:
    method, _, path = asked.partition(" ")
    answer = ask(url, path, method)
    assert (answer.status, answer.fields.get("allow"), operated.reloads) == (status, allow, 0)
    assert answer.content == "" or method != "HEAD"


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/config", "/nothing"])
def test_answers_are_kept_by_nobody_and_taken_for_nothing_else(path: str, url: str) -> None:
    fields = ask(url, path).fields
    assert (fields["cache-control"], fields["x-content-type-options"]) == ("no-store", "nosniff")
    assert fields["content-security-policy"].startswith("default-src 'none'")
    assert "access-control-allow-origin" not in fields


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:9000", "[::1]", "[::1]:9000", "10.1.2.3:80"),
        *("localhost", "LocalHost:8080", "admin.example.org", "Admin.Example.Org:9000"),
    ],
)
def test_host_that_nobody_else_can_have_is_served(host: str, url: str) -> None:
    assert ask(url, "/config", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:9000", "127.0.0.1.evil.example", "localhost.evil.example"),
        *(
            "admin.example.org.evil.example",
            "x.admin.example.org",
            "[::1].evil.example",
            "127.1",
            "0x7f000001",
        ),
    ],
)
@pytest.mark.parametrize(("path", "method"), [("/config", "GET"), ("/reload", "POST"), ("/", "GET")])
def test_host_that_a_stranger_can_have_is_not_served(
    host: str, path: str, method: str, url: str, operated: Operated
) -> None:
    """DNS rebinding: a page of evil.example whose name has come to mean 127.0.0.1."""
    answer = ask(url, path, method, host=host)
    assert answer.status in (400, 421)
    assert ("***" not in answer.content, operated.reloads) == (True, 0)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({}, 200, id="curl"),
        pytest.param({"sec_fetch_site": "none"}, 200, id="by-hand"),
        pytest.param({"origin": "https://evil.example"}, 403, id="other-origin"),
        pytest.param({"origin": "null"}, 403, id="sandboxed-page"),
        pytest.param({"origin": "http://127.0.0.1:9000"}, 403, id="own-origin"),
        pytest.param({"sec_fetch_site": "cross-site"}, 403, id="cross-site"),
        pytest.param({"sec_fetch_site": "same-origin"}, 403, id="same-origin"),
        pytest.param({"origin": ""}, 403, id="empty"),
    ],
)
def test_no_page_makes_a_browser_reload(
    fields: dict[str, str], status: int, url: str, operated: Operated
) -> None:
    """Cross-site request forgery: a form of a stranger's page that posts to loopback."""
    answer = ask(url, "/reload", "POST", **fields)
    assert (answer.status, operated.reloads) == (status, int(status == 200))
