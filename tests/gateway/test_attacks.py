"""What others were attacked with, sent to a gateway over real sockets: tests are named after the reports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.access import LinkClaims, SignedLinks
from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from sluicegate.http.fields import GUARDED_CACHE_CONTROL
from sluicegate.testing import FaultyOrigin, Generated, Status
from tests.delivery.raw_client import Answer, fetch
from tests.servers.asgi import serve_in_thread

SECRET = "0123456789-0123456789-0123456789-0123456789"
LARGE = 64 * 1024 * 1024
YEAR = "public, max-age=31536000"
PRIVATE = b"for those who may"

CONFIG = f"""
[stores.files]
url = "file://./objects"
[stores.nothing]
url = "memory://"

[auth.links]
type = "signed"
keys = {{ k1 = "{SECRET}" }}
cookie_for_prefix = true

[[routes]]
path = "/public/{{key:path}}"
object = "files:public/{{key}}"
auth = "public"

[[routes]]
path = "/admin/{{key:path}}"
object = "files:admin/{{key}}"
auth = "links"

[[routes]]
path = "/stores/{{store}}/{{key:path}}"
object = "{{store}}:public/{{key}}"
stores = ["files", "nothing"]
auth = "public"

[[routes]]
path = "/relayed/{{key:path}}"
upstream = "ORIGIN/bucket/{{key}}"
cache_control = "{YEAR}"
auth = "public"

[[routes]]
path = "/mine/{{key:path}}"
upstream = "ORIGIN/bucket/{{key}}"
auth = "links"
"""

links = SignedLinks({"k1": SECRET})


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyOrigin]:
    with FaultyOrigin() as origin:
        origin.put("/bucket/large", Generated(LARGE))
        origin.put("/bucket/small", PRIVATE, cache_control=YEAR)
        yield origin


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("attacks")
    for name in ("objects/public/a.txt", "objects/admin/secret", "objects/admins/secret", "passwd"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(PRIVATE)
    return place


@pytest.fixture(scope="module")
def url(running: FaultyOrigin, folder: Path) -> Iterator[str]:
    config = parse_config(CONFIG.replace("ORIGIN", running.url), {}, name=str(folder / "sluicegate.toml"))
    with serve_in_thread(Gateway(config)) as served:
        yield served


@pytest.fixture
def origin(running: FaultyOrigin) -> FaultyOrigin:
    running.heal()
    running.wait_until_idle()
    running.reset_counts()
    return running


async def get(url: str, target: str, *fields: tuple[str, str], method: str = "GET") -> Answer:
    return await fetch(url, target, method=method, fields=list(fields))


# Ranges.


async def test_cve_2011_3192_ranges_that_overlap_cost_one_read_of_the_object(
    url: str, origin: FaultyOrigin
) -> None:
    many = "bytes=0-," + ",".join(f"5-{last}" for last in range(5, 1300))
    answer = await get(url, "/relayed/small", ("Range", many))
    some = await get(url, "/relayed/small", ("Range", "bytes=" + ",".join(["0-"] * 60)))
    assert [(one.status, one.content) for one in (answer, some)] == [(200, PRIVATE)] * 2
    assert origin.bytes_sent == 2 * len(PRIVATE)


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        pytest.param("bytes=0-0", 1, id="first-byte"),
        pytest.param(f"bytes={LARGE - 1}-", 1, id="last-byte"),
        pytest.param("bytes=-1", 1, id="suffix"),
        pytest.param("bytes=0-0,-1", 2, id="both-ends"),
        pytest.param("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 160, 10)), 16, id="sixteen"),
    ],
)
async def test_rangeamp_few_bytes_cost_the_origin_few_bytes(
    url: str, origin: FaultyOrigin, asked: str, most: int
) -> None:
    answer = await get(url, "/relayed/large", ("Range", asked))
    assert answer.status == 206
    await origin.until_idle()
    assert origin.bytes_sent == most


# Paths.


@pytest.mark.parametrize(
    "path",
    [
        "/public/..%2fadmin/secret",
        "/public/..%2Fadmin%2Fsecret",
        "/public/%2e%2e/admin/secret",
        "/public/.%2e%2fadmin/secret",
        "/public/..%5cadmin%5csecret",
        "/public/x%2f..%2f..%2fadmin/secret",
        "/public%2f..%2fadmin/secret",
        "/public/../admin/secret",
        "/public/..;/admin/secret",
        "/public/%252e%252e%252fadmin/secret",
        "/admin%2Fsecret",
        "//admin/secret",
        "/./admin/secret",
    ],
)
async def test_caddy_7941_path_is_guarded_as_it_is_served(url: str, path: str) -> None:
    answer = await get(url, path)
    assert answer.status in (400, 404)
    assert PRIVATE not in answer.content
    assert (await get(url, "/admin/%73ecret")).status == 403


@pytest.mark.parametrize(
    "key",
    [
        "%2Fetc%2Fpasswd",
        "%2F%2Fetc/passwd",
        "/etc/passwd",
        "..%2F..%2Fpasswd",
        "%2e%2e%2f%2e%2e%2fpasswd",
        "..%5C..%5Cpasswd",
        "file:%2F%2F%2Fetc%2Fpasswd",
        "a.txt%2F..%2F..%2F..%2Fpasswd",
    ],
)
async def test_cve_2023_37474_encoded_slashes_do_not_leave_the_folder(url: str, key: str) -> None:
    answer = await get(url, f"/public/{key}")
    assert answer.status in (400, 404)
    assert not any(text in answer.content for text in (PRIVATE, b"root:"))


async def test_ghsa_mr74_928f_rw69_link_of_a_folder_opens_no_folder_beside_it(url: str) -> None:
    token = links.sign("", 60, LinkClaims(prefix="/admin/"))
    below = await get(url, f"/admin/secret?link={token}")
    assert below.content == PRIVATE
    cookie = ("Cookie", (below.get("set-cookie") or "").partition(";")[0])
    for path in ("/admins/secret", "/admin%2Fsecret", "/admin", "/mine/small"):
        assert (await get(url, f"{path}?link={token}", cookie)).status in (400, 403, 404)


# Stores.


@pytest.mark.parametrize(
    "store",
    [
        ":local:",
        "files:",
        "files,root=/etc",
        ":http,url='ORIGIN':",
        ":s3,endpoint=ORIGIN:",
        "file:%2F%2F%2Fetc",
        "http:%2F%2FORIGIN",
        "s3:%2F%2Fother-bucket",
        "FILES",
        "admin",
    ],
)
async def test_ghsa_qw24_gh76_8rvv_no_store_is_made_of_what_a_client_writes(
    url: str, origin: FaultyOrigin, store: str
) -> None:
    address = origin.url.removeprefix("http://")
    answer = await get(url, f"/stores/{store.replace('ORIGIN', address)}/bucket/small")
    assert (answer.status, PRIVATE in answer.content) == (404, False)
    options = "fs=:http:&remote=/etc/passwd&endpoint_url=http://127.0.0.1:1&bucket=other"
    assert (await get(url, f"/stores/files/a.txt?{options}")).content == PRIVATE
    assert origin.requests == ()


# Caches.


@pytest.mark.usefixtures("origin")
async def test_cve_2025_57752_guarded_answers_are_for_no_shared_cache(url: str) -> None:
    # The upstream says that everybody may keep it for a year. It does not know who may read it here.
    link = links.link("/mine/small", 60)
    whole = await get(url, link)
    answers = [
        whole,
        await get(url, link, method="HEAD"),
        await get(url, link, ("Range", "bytes=0-3")),
        await get(url, link, ("If-None-Match", whole.get("etag") or "")),
    ]
    assert [answer.status for answer in answers] == [200, 200, 206, 304]
    assert {answer.get("cache-control") for answer in answers} == {GUARDED_CACHE_CONTROL}
    refused = [await get(url, "/mine/small"), await get(url, links.link("/mine/missing", 60))]
    assert [answer.status for answer in refused] == [403, 404]
    assert {answer.get("cache-control") for answer in refused} == {"no-store"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500, 502, 503, 504])
async def test_imgproxy_1677_failure_is_not_kept_for_a_year(
    url: str, origin: FaultyOrigin, status: int
) -> None:
    kept = await get(url, "/relayed/small")
    origin.fail("/bucket/small", Status(status))
    failed = await get(url, "/relayed/small")
    assert (kept.get("cache-control"), failed.status >= 400) == (YEAR, True)
    assert failed.get("cache-control") == "no-store"


@pytest.mark.usefixtures("origin")
async def test_imgproxy_1677_range_outside_the_object_is_not_kept_for_a_year(url: str) -> None:
    answer = await get(url, "/relayed/small", ("Range", "bytes=1000-"))
    assert (answer.status, answer.get("cache-control")) == (416, "no-store")
