"""Where the region and the endpoint of a store come from, for each client alike."""

import re
from pathlib import Path

import pytest

from sluicegate import OpenRequest, StoreOptions
from sluicegate.sources.opening import Client, store_source
from sluicegate.sources.options import BadOptions
from sluicegate.testing import FaultyOrigin
from tests.sources.stores import CLIENTS, content_of

CONFIG = """\
[default]
region = eu-west-1

[profile work]
region = ap-south-1

[profile bare]
output = json
"""
KEYS = "[{}]\naws_access_key_id = key\naws_secret_access_key = secret\n"


@pytest.fixture(autouse=True)
def shared_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `aws configure` writes."""
    (tmp_path / "config").write_text(CONFIG)
    (tmp_path / "credentials").write_text("".join(map(KEYS.format, ("default", "work", "bare"))))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def asked(origin: FaultyOrigin, client: Client, options: StoreOptions) -> str:
    """The region that a request for an object is signed for; nothing, if it is not signed."""
    origin.put("/bucket/key", b"content")
    async with store_source("s3://bucket", options, client=client) as source:
        assert await content_of(await source.open("key", OpenRequest())) == b"content"
    signed = dict(origin.requests[-1].fields).get("authorization", "")
    return found[1] if (found := re.search(r"Credential=key/[0-9]+/([^/]+)/s3/", signed)) else ""


KEYS_GIVEN = {"access_key_id": "key", "secret_access_key": "secret"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("options", "environment", "region"),
    [
        pytest.param({}, {}, "eu-west-1", id="default-profile"),
        pytest.param({"profile": "work"}, {}, "ap-south-1", id="profile"),
        pytest.param({}, {"AWS_PROFILE": "work"}, "ap-south-1", id="profile-of-the-environment"),
        pytest.param({"profile": "bare"}, {}, "us-east-1", id="profile-without-one"),
        pytest.param(KEYS_GIVEN, {}, "eu-west-1", id="keys-given"),
        pytest.param({"anonymous": True}, {}, "", id="anonymous"),
        pytest.param({"profile": "work"}, {"AWS_REGION": "us-west-2"}, "us-west-2", id="environment"),
        pytest.param({}, {"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2", id="default-of-the-environment"),
        pytest.param({}, {"AWS_REGION": ""}, "eu-west-1", id="nothing-in-the-environment"),
        pytest.param(
            {"profile": "work", "region": "sa-east-1"}, {"AWS_REGION": "us-west-2"}, "sa-east-1", id="option"
        ),
    ],
)
async def test_region(
    client: Client,
    *,
    options: dict[str, str],
    environment: dict[str, str],
    region: str,
    faulty_origin: FaultyOrigin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = StoreOptions(endpoint_url=faulty_origin.url, **options)  # type: ignore[arg-type]
    assert await asked(faulty_origin, client, settings) == region


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "config",
    [
        pytest.param("[default]\nendpoint_url = {}\n", id="of-all-services"),
        pytest.param(
            "[default]\nservices = own\nendpoint_url = http://127.0.0.1:9\n"
            "[services own]\ns3 =\n  endpoint_url = {}\n",
            id="of-s3",
        ),
    ],
)
async def test_endpoint_of_the_shared_files(
    client: Client, config: str, faulty_origin: FaultyOrigin, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(config.format(faulty_origin.url))
    assert await asked(faulty_origin, client, StoreOptions()) == "us-east-1"


@pytest.mark.parametrize("client", CLIENTS)
async def test_endpoint_of_the_environment_goes_before_that_of_the_shared_files(
    client: Client, faulty_origin: FaultyOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:9\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty_origin.url)
    assert await asked(faulty_origin, client, StoreOptions()) == "us-east-1"


async def test_key_with_an_empty_segment_is_asked_for_in_the_same_region(faulty_origin: FaultyOrigin) -> None:
    faulty_origin.put("/bucket/a//b", b"content")
    async with store_source("s3://bucket", StoreOptions(endpoint_url=faulty_origin.url)) as source:
        assert await content_of(await source.open("a//b", OpenRequest())) == b"content"
    assert "/eu-west-1/s3/" in dict(faulty_origin.requests[-1].fields)["authorization"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_shared_files_that_cannot_be_read_are_told_when_the_source_is_entered(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("region = no section\n")
    with pytest.raises(BadOptions, match="config"):
        async with store_source("s3://bucket", StoreOptions(), client=client):
            pass
