"""schemathesis reads `/openapi.json` of a running gateway and asks it for all that the document allows, and
for all that it does not: nothing fails inside, and every answer is one that the document describes.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sluicegate.access.api_keys import hash_key, new_key
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from sluicegate.access.passwords import hash_password
from sluicegate.testing import FaultyOrigin
from tests.files import write_files
from tests.gateway.test_cli_serve import Served, serving
from tests.servers.process import ServerMissing, executable

try:
    SCHEMATHESIS = executable("st", "pip install schemathesis")
except ServerMissing as missing:
    pytest.skip(str(missing), allow_module_level=True)

EXAMPLES = 2
"""Cases for each operation that are drawn at random, beside the ones that follow from the document: some
hundreds in all, the same in each run."""

END_SECONDS = 60.0
"""A run that has not ended by then has hung."""

# What a valid request is answered with depends on the object as well, which may be another version or short,
# and on the route that fits the value: one of two has no HEAD.
SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = [
    "2xx", "3xx", "401", "403", "404", "405", "412", "416", "429"
]
"""
CREDENTIALS = """
[parameters]
"path.key" = "a"
"header.Range" = "RANGE"

[auth.openapi.partners]
api_key = "KEY"

[auth.openapi."links.2"]
api_key = "TOKEN"
"""

SECRET = "0123456789-0123456789-0123456789-0123456789"
KEY = new_key()
OBJECTS = {"a": b"Hello, world.\n", "0": bytes(100_000), "1": b"", "film/a": b"film"}

CONFIG = f"""
[gateway]
openapi = true

[stores.files]
url = "file://./objects"

[auth.links]
type = "signed"
keys = {{ k1 = "{SECRET}" }}

[auth.partners]
type = "api_key"
keys = {{ acme = "{hash_key(KEY)}" }}
parameter = "key"

[auth.staff]
type = "basic"
users = {{ alice = "{hash_password("correct horse")}" }}

[defaults]
auth = "public"

[[routes]]
path = "/logo"
object = "files:a"

[[routes]]
path = "/public/{{key:path}}"
object = "files:{{key}}"

[[routes]]
path = "/texts/{{key}}"
object = "files:{{key}}"
media_type = "text/plain"
methods = ["GET"]

[[routes]]
path = "/texts/{{key:int}}"
object = "files:{{key}}"
media_type = "image/png"

[[routes]]
path = "/ids/{{id:uuid}}/{{number:int}}"
object = "files:{{id}}/{{number}}"

[[routes]]
path = "/links/{{key:path}}"
object = "files:{{key}}"
auth = "links"

[[routes]]
path = "/partners/{{key}}"
object = "files:{{key}}"
auth = "partners"

[[routes]]
path = "/either/{{key}}"
object = "files:{{key}}"
auth = ["links", "partners", "staff"]

[[routes]]
path = "/upstream/{{key:path}}"
upstream = "ORIGIN/{{key}}"

[[routes]]
path = "/limited/{{key}}"
object = "files:{{key}}"
limits = {{ requests = "20/minute" }}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    tmp_path = tmp_path_factory.mktemp("schemathesis")
    write_files(tmp_path / "objects", OBJECTS)
    config = tmp_path / "sluicegate.toml"
    with FaultyOrigin() as origin:
        for key, content in OBJECTS.items():
            origin.put(f"/{key}", content)
        config.write_text(CONFIG.replace("ORIGIN", origin.url))
        with serving(config) as served:
            yield served


def examined(gateway: Served, folder: Path, settings: str, *arguments: str) -> dict[str, set[int]]:
    """Have schemathesis try everything, which finds no failure; the statuses that each route answered."""
    before = gateway.log.stat().st_size
    (folder / "schemathesis.toml").write_text(settings)
    bounds = ["-n", str(EXAMPLES), "--seed", "1", "--generation-database", "none"]
    command = [SCHEMATHESIS, "run", f"{gateway.url}/openapi.json", *bounds, "--no-color", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=END_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert httpx.get(f"{gateway.url}/healthz", trust_env=False).status_code == 200
    log = gateway.log.read_bytes()[before:].decode()
    assert "Traceback" not in log
    return answered(log)


def answered(log: str) -> dict[str, set[int]]:
    """The statuses that requests for each route got."""
    statuses: dict[str, set[int]] = {}
    for line in log.splitlines():
        record = json.loads(line)
        if record["event"] == "transfer" and "route" in record:
            statuses.setdefault(record["route"], set()).add(record["status"])
    return statuses


def test_answers_to_strangers_are_as_documented(gateway: Served, tmp_path: Path) -> None:
    statuses = examined(gateway, tmp_path, SETTINGS)
    # It has been everywhere, and nobody let it in where it may not be.
    assert {200, 405} <= statuses["/logo"]
    assert 404 in statuses["/public/{key:path}"] | statuses["/upstream/{key:path}"]
    assert 429 in statuses["/limited/{key}"]
    assert 401 in statuses["/partners/{key}"]
    for route in ("/links/{key:path}", "/partners/{key}", "/either/{key}"):
        # OPTIONS is answered to everybody.
        assert statuses[route] <= {204, 400, 401, 403, 405}


@pytest.mark.parametrize(
    ("wanted", "routes"),
    [
        pytest.param("bytes=0-3", ["/links/{key:path}", "/partners/{key}", "/either/{key}"], id="one-range"),
        pytest.param("bytes=0-3,6-8", ["/links/{key:path}"], id="two-ranges"),
    ],
)
def test_answers_to_those_who_may_read_are_as_documented(
    wanted: str, routes: list[str], gateway: Served, tmp_path: Path
) -> None:
    token = SignedLinks({"k1": SECRET}).sign("", 3600, LinkClaims(prefix="/"))
    credentials = CREDENTIALS.replace("KEY", KEY).replace("TOKEN", token).replace("RANGE", wanted)
    guarded = [f"--include-path={route.replace(':path', '')}" for route in routes]
    statuses = examined(gateway, tmp_path, SETTINGS + credentials, *guarded)
    assert statuses.keys() == set(routes)
    for route in routes:
        # Also without credentials, and with wrong ones, which it makes up itself.
        assert 206 in statuses[route]
        assert statuses[route] & {401, 403}


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        pytest.param("/public/" + "a" * 9000, {}, 414, id="long-target"),
        pytest.param("/public/a", {f"x-{n}": "v" for n in range(101)}, 431, id="many-fields"),
        pytest.param("/public/%2e%2e", {}, 400, id="dot-segment"),
        pytest.param("/texts/a", {"range": "bytes=100-"}, 416, id="range-beyond"),
        pytest.param("/texts/a", {"if-match": '"other"'}, 412, id="other-version"),
    ],
)
def test_refusal_is_one_that_the_document_names(
    gateway: Served, target: str, fields: dict[str, str], status: int
) -> None:
    paths = httpx.get(f"{gateway.url}/openapi.json", trust_env=False).json()["paths"]
    answer = httpx.get(f"{gateway.url}{target}", headers=fields, trust_env=False)
    described = paths["/public/{key}"]["get"]["responses"][str(status)]
    assert answer.status_code == status
    kinds = list(described.get("content", {}))
    assert kinds == ([answer.headers["content-type"]] if answer.content else [])
