"""TLS against nginx with a certificate of an authority that nobody else knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate import OpenRequest
from sluicegate.errors import Unavailable
from sluicegate.sources.options import BadOptions
from tests.conftest import started
from tests.servers.nginx import NginxServer, nginx
from tests.sources.stores import KINDS, Kind, content_of, source_at


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxServer]:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "bucket").mkdir()
    (folder / "bucket" / "key").write_bytes(b"content")
    with started(nginx(folder, tls=True)) as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
async def test_certificate_that_nobody_vouches_for_is_refused(secure: NginxServer, kind: Kind) -> None:
    async with source_at(kind, secure.tls_url or "", tls_verify=True) as source:
        with pytest.raises(Unavailable):
            await source.open("key", OpenRequest())


@pytest.mark.parametrize("kind", KINDS)
async def test_authority_in_a_file_is_trusted(secure: NginxServer, kind: Kind) -> None:
    async with source_at(kind, secure.tls_url or "", tls_verify=str(secure.ca_file)) as source:
        assert await content_of(await source.open("key", OpenRequest())) == b"content"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_verification_can_be_turned_off(secure: NginxServer, kind: Kind) -> None:
    async with source_at(kind, secure.tls_url or "", tls_verify=False) as source:
        assert await content_of(await source.open("key", OpenRequest())) == b"content"


@pytest.mark.parametrize("kind", KINDS)
async def test_name_that_is_not_in_the_certificate_is_refused(secure: NginxServer, kind: Kind) -> None:
    url = (secure.tls_url or "").replace("127.0.0.1", "127.0.0.2")
    async with source_at(kind, url, tls_verify=str(secure.ca_file)) as source:
        with pytest.raises(Unavailable):
            await source.open("key", OpenRequest())


@pytest.mark.parametrize("kind", KINDS)
async def test_plain_answer_where_tls_is_meant_is_refused(secure: NginxServer, kind: Kind) -> None:
    async with source_at(kind, secure.url.replace("http:", "https:"), tls_verify=False) as source:
        with pytest.raises(Unavailable):
            await source.open("key", OpenRequest())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "garbage"])
async def test_file_of_authorities_that_cannot_be_used_is_told_when_the_source_is_entered(
    tmp_path: Path, kind: Kind, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadOptions, match="tls_verify"):
        async with source_at(kind, "https://127.0.0.1:1", tls_verify=str(file)):
            pass
