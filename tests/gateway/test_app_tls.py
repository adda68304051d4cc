"""Certificates: an origin that cannot be trusted is not asked, and one that the operator trusts is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from tests.delivery.raw_client import fetch
from tests.servers.asgi import serve_in_thread
from tests.servers.nginx import NginxServer, nginx
from tests.servers.process import ServerMissing

CONTENT = b"behind TLS"
KINDS = ("obstore", "aiobotocore", "botocore", "upstream")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxServer]:
    folder = tmp_path_factory.mktemp("tls")
    # A folder is a bucket: what nginx serves below it are objects that need no signature.
    (folder / "bucket").mkdir()
    (folder / "bucket" / "a.txt").write_bytes(CONTENT)
    try:
        with nginx(folder, tls=True) as running:
            yield running
    except ServerMissing as missing:
        pytest.skip(str(missing))


def config(server: NginxServer, kind: str, tls_verify: str) -> str:
    if kind == "upstream":
        upstream = f'upstream = "{server.tls_url}/bucket/{{key}}"\ntls_verify = {tls_verify}\n'
        return f'[[routes]]\npath = "/{{key:path}}"\n{upstream}'
    return f"""\
[stores.s]
url = "s3://bucket"
endpoint_url = "{server.tls_url}"
region = "us-east-1"
anonymous = true
client = "{kind}"
tls_verify = {tls_verify}
[[routes]]
path = "/{{key:path}}"
object = "s:{{key}}"
"""


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("kind", KINDS)
async def test_certificate_decides(kind: str, server: NginxServer, caplog: pytest.LogCaptureFixture) -> None:
    for tls_verify, status in (("true", 502), ("false", 200), (f'"{server.ca_file}"', 200)):
        with serve_in_thread(Gateway(parse_config(config(server, kind, tls_verify), {}))) as url:
            answer = await fetch(url, "/a.txt")
        assert answer.status == status
        if status == 200:
            assert answer.content == CONTENT
        else:
            assert json.loads(answer.content)["title"] == "The origin is unavailable"
            assert "certificate" not in answer.content.decode().lower()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("kind", KINDS)
async def test_relative_certificate_file_is_beside_the_configuration(
    kind: str, server: NginxServer, tmp_path: Path
) -> None:
    assert server.ca_file is not None
    (tmp_path / "ca.pem").write_bytes(server.ca_file.read_bytes())
    text = config(server, kind, '"ca.pem"')
    with serve_in_thread(Gateway(parse_config(text, {}, name=str(tmp_path / "sluicegate.toml")))) as url:
        assert (await fetch(url, "/a.txt")).content == CONTENT
