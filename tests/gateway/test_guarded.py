"""Routes that not everybody may read, or not as much as they like: what clients get, over real sockets."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from sluicegate import TransferRecord
from sluicegate.access.api_keys import hash_key, new_key
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from sluicegate.access.passwords import hash_password
from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from sluicegate.http.active_content import SANDBOX
from sluicegate.http.fields import GUARDED_CACHE_CONTROL
from sluicegate.testing import FaultyOrigin, SlowClient
from tests.delivery.raw_client import Answer, fetch
from tests.files import write_files
from tests.servers.asgi import serve_in_thread
from tests.servers.oidc import oidc_provider

from .test_gates import state_of_one_moment

CONTENT = b"Hello, world.\n"
SECRET = "0123456789-0123456789-0123456789-0123456789"
KEY, OTHER = new_key(), new_key()
ALICE = hash_password("correct horse")
OBJECTS = {
    "a.txt": CONTENT,
    "film/1.ts": b"one",
    "film/2.ts": b"two",
    "films/1.ts": b"other",
    "u/alice/a.txt": b"of alice",
    "u/bob/a.txt": b"of bob",
    "public/a.txt": b"public",
    "private/a.txt": b"private",
    "page.html": b"<script>alert(1)</script>",
    "picture.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}

CONFIG = f"""
[stores.files]
url = "file://./objects"
[stores.secret]
url = "file://./secret"

[auth.links]
type = "signed"
keys = {{ k1 = "{SECRET}" }}
cookie_for_prefix = true

[auth.others]
type = "api_key"
header = "X-Partner"
keys = {{ other = "{hash_key(OTHER)}" }}

[auth.partners]
type = "api_key"
keys = {{ acme = "{hash_key(KEY)}" }}

[auth.staff]
type = "basic"
users = {{ alice = "{ALICE}" }}

[defaults.cors]
origins = ["https://app.example"]
credentials = true

[[routes]]
path = "/links/{{key:path}}"
object = "files:{{key}}"
auth = "links"

[[routes]]
path = "/both/{{key:path}}"
object = "files:{{key}}"
auth = ["links", "partners"]

[[routes]]
path = "/other/{{key:path}}"
object = "files:{{key}}"
auth = "others"

[[routes]]
path = "/mine/{{name}}"
object = "files:u/{{claims.sub}}/{{name}}"
auth = "staff"

[[routes]]
path = "/public/{{key:path}}"
object = "files:{{key}}"
auth = "public"

[[routes]]
path = "/public/inner/{{key:path}}"
object = "files:inner/{{key}}"
auth = "partners"

[[routes]]
path = "/some/{{key:path}}"
object = "files:{{key}}"
auth = "public"
key_prefixes = ["public/"]
methods = ["GET"]
cors = {{ origins = "*" }}

[[routes]]
path = "/stores/{{store}}/{{key:path}}"
object = "{{store}}:{{key}}"
stores = ["files"]
auth = "public"
active_content = "attachment"
"""

links = SignedLinks({"k1": SECRET})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("guarded")
    write_files(place / "objects", OBJECTS)
    write_files(place, {"secret/a.txt": b"no"})
    return place


@contextmanager
def served(folder: Path, text: str) -> Iterator[tuple[str, list[TransferRecord]]]:
    records: list[TransferRecord] = []
    config = parse_config(text, {}, name=str(folder / "sluicegate.toml"))
    gateway = Gateway(config, records.append, state_of_one_moment())
    gateway.take_over()
    with serve_in_thread(gateway) as url:
        yield url, records


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[tuple[str, list[TransferRecord]]]:
    with served(folder, CONFIG) as found:
        yield found


@pytest.fixture
def url(gateway: tuple[str, list[TransferRecord]]) -> str:
    gateway[1].clear()
    return gateway[0]


@pytest.fixture
def records(gateway: tuple[str, list[TransferRecord]]) -> list[TransferRecord]:
    return gateway[1]


def basic(user: str, password: str) -> list[tuple[str, str]]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return [("Authorization", f"Basic {pair}")]


async def get(url: str, target: str, *fields: tuple[str, str], method: str = "GET") -> Answer:
    return await fetch(url, target, method=method, fields=list(fields))


async def test_a_link_opens_its_path_and_nothing_else(url: str) -> None:
    link = links.link("/links/a.txt", 60)
    answer = await get(url, link)
    assert (answer.status, answer.content) == (200, CONTENT)
    assert answer.get("cache-control") == GUARDED_CACHE_CONTROL
    other = await get(url, f"/links/film/1.ts?{link.partition('?')[2]}")
    assert other.status == 403


async def test_a_link_serves_ranges_conditions_and_head(url: str) -> None:
    link = links.link("/links/a.txt", 60)
    part = await get(url, link, ("Range", "bytes=0-4"))
    again = await get(url, link, ("If-None-Match", part.get("etag") or ""))
    head = await get(url, link, method="HEAD")
    assert [part.status, part.content, again.status, head.status] == [206, CONTENT[:5], 304, 200]


async def test_an_encoded_path_is_the_same_path(url: str) -> None:
    token = links.link("/links/a.txt", 60).partition("?")[2]
    assert (await get(url, f"/links/%61%2Etxt?{token}")).status == 200
    token = links.link("/links/film/1.ts", 60).partition("?")[2]
    # It is the slash of a key, wherever it stands.
    assert (await get(url, f"/links/film%2F1.ts?{token}")).content == b"one"
    assert (await get(url, f"/links/film%252F1.ts?{token}")).status == 403


async def test_without_a_link_the_reason_is_in_the_log_alone(url: str, records: list[TransferRecord]) -> None:
    answer = await get(url, "/links/a.txt")
    assert (answer.status, json.loads(answer.content)["title"]) == (403, "Forbidden")
    (record,) = records
    assert (record.status, record.route, record.error) == (
        403,
        "/links/{key:path}",
        "Refused: links: no link",
    )
    assert record.client == "127.0.0.1"


async def test_a_prefix_link_opens_what_is_below_it_by_its_cookie(url: str) -> None:
    token = links.sign("", 60, LinkClaims(prefix="/links/film/"))
    first = await get(url, f"/links/film/1.ts?link={token}")
    cookie = first.get("set-cookie") or ""
    assert (first.content, cookie.partition("=")[0]) == (b"one", "sluicegate_link")
    pair = cookie.partition(";")[0]
    assert (await get(url, "/links/film/2.ts", ("Cookie", pair))).content == b"two"
    assert (await get(url, "/links/films/1.ts", ("Cookie", pair))).status == 403
    assert (await get(url, "/links/film/..%2Fa.txt", ("Cookie", pair))).status == 400


@pytest.mark.parametrize("path", ["/public/inner%2Fa.txt", "/public//inner/a.txt", "/public/%2Finner/a.txt"])
async def test_caddy_7941_no_spelling_of_a_path_leads_around_a_guarded_route(url: str, path: str) -> None:
    assert (await get(url, "/public/inner/a.txt")).status == 401
    assert (await get(url, path)).status in (400, 404)


async def test_an_encoded_slash_is_a_slash_where_it_leads_to_the_same_route(url: str) -> None:
    assert (await get(url, "/public/film%2F1.ts")).content == b"one"


async def test_a_link_names_the_file(url: str) -> None:
    token = links.sign("/links/a.txt", 60, LinkClaims(filename="Größe.txt"))
    answer = await get(url, f"/links/a.txt?link={token}")
    disposition = answer.get("content-disposition") or ""
    assert disposition.startswith("attachment; ")
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt" in disposition


async def test_uses_of_a_link_are_counted(url: str) -> None:
    link = links.link("/links/a.txt", 60, LinkClaims(uses=2))
    statuses = [
        (await get(url, link, method=method)).status for method in ("HEAD", "GET", "HEAD", "GET", "GET")
    ]
    assert statuses == [200, 200, 200, 200, 403]


async def test_one_of_several_is_enough_and_none_is_401(url: str, records: list[TransferRecord]) -> None:
    by_key = await get(url, "/both/a.txt", ("X-Api-Key", KEY))
    by_link = await get(url, links.link("/both/a.txt", 60))
    neither = await get(url, "/both/a.txt")
    assert [by_key.status, by_link.status, neither.status] == [200, 200, 401]
    assert (neither.get("www-authenticate") or "").startswith("ApiKey")
    assert [record.subject for record in records] == ["acme", "k1", None]


async def test_a_claim_fills_its_place_in_the_key(url: str) -> None:
    mine = await get(url, "/mine/a.txt", *basic("alice", "correct horse"))
    wrong = await get(url, "/mine/a.txt", *basic("bob", "correct horse"))
    assert (mine.content, wrong.status) == (b"of alice", 401)
    assert (wrong.get("www-authenticate") or "").startswith("Basic")


async def test_keys_begin_with_what_the_route_names(url: str) -> None:
    assert (await get(url, "/some/public/a.txt")).content == b"public"
    assert (await get(url, "/some/private/a.txt")).status == 404
    assert (await get(url, "/some/publica.txt")).status == 404


async def test_thumbor_aws_394_a_request_names_a_store_of_the_list_alone(url: str) -> None:
    assert (await get(url, "/stores/files/a.txt")).content == CONTENT
    assert (await get(url, "/stores/secret/a.txt")).status == 404
    assert (await get(url, "/stores/nothing/a.txt")).status == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "TRACE", "PROPFIND"])
async def test_nginx_s3_gateway_551_only_the_methods_of_a_route_reach_its_origin(
    url: str, method: str, records: list[TransferRecord]
) -> None:
    answer = await get(url, "/public/a.txt", method=method)
    assert (answer.status, answer.get("allow")) == (405, "GET, HEAD, OPTIONS")
    assert [record.requests for record in records] == [0]


async def test_a_route_without_head_says_so(url: str) -> None:
    answer = await get(url, "/some/public/a.txt", method="HEAD")
    assert (answer.status, answer.get("allow")) == (405, "GET, OPTIONS")


async def test_a_browser_is_told_who_may_read(url: str) -> None:
    answer = await get(url, links.link("/links/a.txt", 60), ("Origin", "https://app.example"))
    other = await get(url, links.link("/links/a.txt", 60), ("Origin", "https://evil.example"))
    refused = await get(url, "/links/a.txt", ("Origin", "https://app.example"))
    assert answer.get("access-control-allow-origin") == "https://app.example"
    assert "content-range" in (answer.get("access-control-expose-headers") or "")
    assert (other.get("access-control-allow-origin"), other.get("vary")) == (None, "origin")
    assert (refused.status, refused.get("access-control-allow-origin")) == (403, "https://app.example")


async def test_a_browser_may_ask_before_it_asks(url: str) -> None:
    asked = ("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET")
    answer = await get(url, "/links/a.txt", *asked, method="OPTIONS")
    assert (answer.status, answer.get("access-control-allow-methods")) == (204, "GET, HEAD, OPTIONS")
    assert "range" in (answer.get("access-control-allow-headers") or "")
    assert answer.get("access-control-allow-credentials") == "true"


async def test_a_script_may_send_what_the_route_asks_for(url: str) -> None:
    asked = ("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET")
    answer = await get(url, "/other/a.txt", *asked, method="OPTIONS")
    assert "x-partner" in (answer.get("access-control-allow-headers") or "").split(", ")
    assert (await get(url, "/other/a.txt", ("X-Partner", OTHER))).content == CONTENT


@pytest.mark.parametrize("name", ["page.html", "picture.svg"])
async def test_active_content_has_no_rights(url: str, name: str) -> None:
    sandboxed = await get(url, f"/public/{name}")
    saved = await get(url, f"/stores/files/{name}")
    assert sandboxed.get("content-security-policy") == SANDBOX
    assert (saved.get("content-disposition") or "").startswith("attachment")
    assert sandboxed.get("x-content-type-options") == saved.get("x-content-type-options") == "nosniff"


async def test_other_content_is_served_as_it_is(url: str) -> None:
    answer = await get(url, "/public/a.txt")
    assert (answer.get("content-security-policy"), answer.get("content-disposition")) == (None, None)
    assert answer.get("x-content-type-options") == "nosniff"


async def test_cve_2026_48710_the_host_field_decides_on_nothing(url: str) -> None:
    link = links.link("/links/a.txt", 60)
    answer = await fetch(url, link, fields=[("Host", "evil.example")])
    assert answer.status in (200, 400)
    assert (await fetch(url, "/links/a.txt", fields=[("Host", "public")])).status in (400, 403)


# Limits.

LIMITED = """
[limits]
client_transfers = 2
[stores.files]
url = "file://./objects"
[[routes]]
path = "/few/{key:path}"
object = "files:{key}"
limits = { requests = "3/hour" }
[[routes]]
path = "/slow/{key:path}"
object = "files:{key}"
limits = { bytes_per_second = "64KiB" }
[[routes]]
path = "/big/{key:path}"
upstream = "ORIGIN/{key}"
"""


async def test_requests_beyond_the_rate_are_told_when_to_come_again(folder: Path) -> None:
    with served(folder, LIMITED.replace("ORIGIN", "http://127.0.0.1:1")) as (url, records):
        answers = [await get(url, "/few/a.txt") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].get("ratelimit-policy") == '"route-all";q=3;w=3600'
    assert (answers[0].get("ratelimit") or "").startswith('"route-all";r=2;t=')
    assert int(answers[3].get("retry-after") or 0) > 0
    assert (records[-1].error or "").startswith("Limited: route-all")


async def test_rate_of_all_routes_counts_what_they_are_asked_for_and_no_answer_of_the_gateway(
    folder: Path,
) -> None:
    limited = LIMITED.replace("client_transfers = 2", 'client_requests = "3/hour"')
    with served(folder, limited.replace("ORIGIN", "http://127.0.0.1:1")) as (url, _):
        for method, path, status in (
            ("OPTIONS", "/few/a.txt", 204),
            ("POST", "/few/a.txt", 405),
            ("GET", "/few/%00", 400),
            ("GET", "/nowhere", 404),
            ("GET", "/docs", 200),
            ("GET", "/openapi.json", 200),
            ("GET", "/healthz", 200),
        ):
            assert [(await get(url, path, method=method)).status for _ in range(4)] == [status] * 4
        paths = ("/few/a.txt", "/slow/a.txt", "/few/missing", "/slow/a.txt")
        assert [(await get(url, path)).status for path in paths] == [200, 200, 404, 429]


async def test_transfers_at_once_of_a_client_are_bounded_and_freed(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        origin = stack.enter_context(FaultyOrigin())
        origin.put("/large", bytes(32 * 1024 * 1024))
        url, _ = stack.enter_context(served(folder, LIMITED.replace("ORIGIN", origin.url)))
        slow = [await stack.enter_async_context(SlowClient(url, receive_buffer=65536)) for _ in range(2)]
        for client in slow:
            await client.send("GET", "/big/large")
            await client.read_head()
        refused = await get(url, "/few/a.txt")
        assert (refused.status, refused.get("retry-after")) == (429, "1")
        slow[0].leave()
        async with asyncio.timeout(10):
            while (await get(url, "/slow/a.txt")).status != 200:
                await asyncio.sleep(0.01)


# Tokens.


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


async def test_tokens_of_a_provider_open_routes_also_after_a_rotation(folder: Path) -> None:
    with oidc_provider("RS256", audience="files") as provider:
        text = f"""
[stores.files]
url = "file://./objects"
[auth.login]
type = "jwt"
issuer = "{provider.url}"
audience = "files"
algorithms = ["RS256"]
[defaults]
auth = "login"
[[routes]]
path = "/mine/{{name}}"
object = "files:u/{{claims.sub}}/{{name}}"
"""
        with served(folder, text) as (url, _):
            first = provider.token(sub="alice")
            assert (
                await get(url, "/mine/a.txt", ("Authorization", f"Bearer {first}"))
            ).content == b"of alice"
            provider.rotate(keep=True)
            second = provider.token(sub="bob")
            assert (await get(url, "/mine/a.txt", ("Authorization", f"Bearer {second}"))).content == b"of bob"
            evil = provider.token(sub="../private")
            assert (await get(url, "/mine/a.txt", ("Authorization", f"Bearer {evil}"))).status == 404
            nobody = await get(url, "/mine/a.txt")
            assert (nobody.status, (nobody.get("www-authenticate") or "")[:6]) == (401, "Bearer")
