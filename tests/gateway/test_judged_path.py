"""Access judges the path that the key is made of, in whatever way a client spells it: over real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sluicegate.access.links import SignedLinks
from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from tests.access.forwarding import YES
from tests.delivery.raw_client import fetch
from tests.files import write_files
from tests.servers.asgi import serve_in_thread
from tests.sources.raw_origin import RawOrigin, raw_origin, served

SECRET = "0123456789-0123456789-0123456789-0123456789"
UUID_TEXT = "123e4567-e89b-12d3-a456-426614174000"
CONTENT = b"for those who may"

CONFIG = f"""
[stores.files]
url = "file://./objects"

[auth.own]
type = "forward"
url = "SERVICE/may-read"

[auth.links]
type = "signed"
keys = {{ k1 = "{SECRET}" }}

[[routes]]
path = "/files/{{key:path}}"
object = "files:{{key}}"
auth = "own"

[[routes]]
path = "/tasks/{{id:int}}/image"
object = "files:tasks/{{id}}.jpg"
auth = "own"

[[routes]]
path = "/by-id/{{id:uuid}}"
object = "files:by-id/{{id}}"
auth = "own"

[[routes]]
path = "/up/{{key:path}}"
upstream = "UPSTREAM/{{key}}"
auth = "own"

[[routes]]
path = "/open/{{key:path}}"
upstream = "UPSTREAM/{{key}}"
auth = "public"

[[routes]]
path = "/linked/{{key:path}}"
object = "files:{{key}}"
auth = "links"

[[routes]]
path = "/t/7/image"
object = "files:tasks/7.jpg"
auth = "links"

[[routes]]
path = "/t/{{id:int}}/image"
object = "files:tasks/{{id}}.jpg"
auth = "public"

[[routes]]
path = "/u/{UUID_TEXT}"
object = "files:by-id/{UUID_TEXT}"
auth = "links"

[[routes]]
path = "/u/{{id:uuid}}"
object = "files:by-id/{{id}}"
auth = "public"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("judged")
    keys = ("private/s.txt", "tasks/7.jpg", "tasks/8.jpg", f"by-id/{UUID_TEXT}")
    write_files(place / "objects", dict.fromkeys(keys, CONTENT))
    return place


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[tuple[str, RawOrigin, RawOrigin]]:
    """A gateway, the service that says who may read, which grants all, and an upstream."""
    async with raw_origin(YES) as service, raw_origin((served(CONTENT),)) as upstream:
        text = CONFIG.replace("SERVICE", service.url).replace("UPSTREAM", upstream.url)
        config = parse_config(text, {}, name=str(folder / "sluicegate.toml"))
        with serve_in_thread(Gateway(config)) as url:
            yield url, service, upstream


@pytest.mark.parametrize(
    ("path", "judged"),
    [
        pytest.param("/files/private/s.txt", "/files/private/s.txt", id="plain"),
        pytest.param("/files/%70rivate/s.txt", "/files/private/s.txt", id="encoded-letter"),
        pytest.param("/files/private%2Fs.txt", "/files/private/s.txt", id="encoded-slash"),
        pytest.param("/files/private%2fs.txt", "/files/private/s.txt", id="encoded-slash-in-lower-case"),
        pytest.param("/tasks/7/image", "/tasks/7/image", id="number"),
        pytest.param("/tasks/007/image", "/tasks/7/image", id="number-with-zeros"),
        pytest.param("/tasks/%37/image", "/tasks/7/image", id="encoded-number"),
        pytest.param(f"/by-id/{UUID_TEXT.upper()}", f"/by-id/{UUID_TEXT}", id="uuid-in-upper-case"),
        pytest.param("/up/private/x", "/up/private/x", id="of-an-upstream"),
        pytest.param("/up/private%2Fx", "/up/private/x", id="encoded-slash-of-an-upstream"),
    ],
)
async def test_service_is_asked_about_the_path_that_the_key_is_made_of(
    folder: Path, path: str, judged: str
) -> None:
    async with gateway(folder) as (url, service, _):
        answer = await fetch(url, path)
        asked = [request.fields["x-forwarded-uri"] for request in service.requests]
    assert (answer.content, asked) == (CONTENT, [judged])


@pytest.mark.parametrize(
    ("guarded", "around"),
    [
        pytest.param("/t/7/image", ["/t/007/image", "/t/07/image"], id="number"),
        pytest.param(f"/u/{UUID_TEXT}", [f"/u/{UUID_TEXT.upper()}", f"/u/{UUID_TEXT.title()}"], id="uuid"),
    ],
)
async def test_no_spelling_of_a_value_leads_around_a_guarded_route(
    folder: Path, guarded: str, around: list[str]
) -> None:
    async with gateway(folder) as (url, _, _):
        assert (await fetch(url, guarded)).status == 403
        assert [(await fetch(url, path)).status for path in around] == [400] * len(around)
        assert (await fetch(url, "/t/008/image")).content == CONTENT


async def test_link_opens_its_object_in_each_spelling_and_no_other(folder: Path) -> None:
    links = SignedLinks({"k1": SECRET})
    token = links.sign("/linked/private/s.txt", 60)
    async with gateway(folder) as (url, _, _):
        for path in ("/linked/private/s.txt", "/linked/private%2Fs.txt"):
            assert (await fetch(url, f"{path}?link={token}")).content == CONTENT
        for path in ("/linked/private//s.txt", "/linked/%2Fprivate/s.txt", "/linked/private%252Fs.txt"):
            assert (await fetch(url, f"{path}?link={token}")).status == 403


@pytest.mark.parametrize("path", ["/up//private/x", "/up/private//x", "/up/%2Fprivate/x", "/up/private/x//"])
async def test_guarded_upstream_is_not_asked_for_what_it_may_take_for_another_path(
    folder: Path, path: str
) -> None:
    async with gateway(folder) as (url, service, upstream):
        assert (await fetch(url, path)).status == 400
        assert (service.requests, upstream.requests) == ([], [])


async def test_empty_segments_reach_an_upstream_that_everybody_may_read(folder: Path) -> None:
    async with gateway(folder) as (url, _, upstream):
        assert (await fetch(url, "/open/a//b/")).content == CONTENT
        assert (await fetch(url, "/up/a/b/")).content == CONTENT
        assert [request.target for request in upstream.requests] == ["/a//b/", "/a/b/"]
