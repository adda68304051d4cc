"""Where credentials come from, for each client alike: against a store that verifies signatures."""

import asyncio
import json
import re
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from sluicegate import OpenRequest, StoreOptions
from sluicegate.errors import Denied, SourceError
from sluicegate.sources.opening import Client, store_source
from sluicegate.sources.options import BadOptions
from tests.conftest import BUCKET
from tests.servers.s3 import S3Server
from tests.sources.raw_origin import RawOrigin, answer, raw_origin, served
from tests.sources.stores import CLIENTS, content_of

KEY = "credentials/key"
Environment = Callable[..., None]


@pytest.fixture(scope="module")
def store(juicefs_server: S3Server) -> S3Server:
    juicefs_server.client().put_object(Bucket=BUCKET, Key=KEY, Body=b"content")
    return juicefs_server


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def credentials_file(folder: Path, profile: str, store: S3Server) -> str:
    file = folder / "credentials"
    file.write_text(
        f"[{profile}]\naws_access_key_id = {store.access_key}\naws_secret_access_key = {store.secret_key}\n"
    )
    return str(file)


async def read(store: S3Server, client: Client, **options: str) -> bytes:
    settings = StoreOptions(endpoint_url=store.endpoint_url, region=store.region, attempts=1, **options)  # type: ignore[arg-type]
    async with store_source(f"s3://{BUCKET}", settings, client=client) as source:
        return await content_of(await source.open(KEY, OpenRequest()))


@pytest.mark.parametrize("client", CLIENTS)
async def test_options(store: S3Server, client: Client) -> None:
    keys = {"access_key_id": store.access_key, "secret_access_key": store.secret_key}
    assert await read(store, client, **keys) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_environment(store: S3Server, client: Client, environment: Environment) -> None:
    environment(AWS_ACCESS_KEY_ID=store.access_key, AWS_SECRET_ACCESS_KEY=store.secret_key)
    assert await read(store, client) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_everything_from_the_environment(
    store: S3Server, client: Client, environment: Environment
) -> None:
    environment(**store.environment())
    async with store_source(f"s3://{BUCKET}", client=client) as source:
        assert await content_of(await source.open(KEY, OpenRequest())) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_options_are_not_mixed_with_the_environment(
    store: S3Server, client: Client, environment: Environment
) -> None:
    environment(AWS_ACCESS_KEY_ID="other", AWS_SECRET_ACCESS_KEY="other", AWS_SESSION_TOKEN="other")
    keys = {"access_key_id": store.access_key, "secret_access_key": store.secret_key}
    assert await read(store, client, **keys) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_default_profile(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    environment(AWS_SHARED_CREDENTIALS_FILE=credentials_file(tmp_path, "default", store))
    assert await read(store, client) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_profile_in_the_options(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    environment(AWS_SHARED_CREDENTIALS_FILE=credentials_file(tmp_path, "images", store))
    assert await read(store, client, profile="images") == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_profile_in_the_environment(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    environment(AWS_SHARED_CREDENTIALS_FILE=credentials_file(tmp_path, "images", store), AWS_PROFILE="images")
    assert await read(store, client) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_keys_in_the_environment_go_before_the_profile_there(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text("[images]\naws_access_key_id = a\naws_secret_access_key = b\n")
    environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"), AWS_PROFILE="images")
    environment(AWS_ACCESS_KEY_ID=store.access_key, AWS_SECRET_ACCESS_KEY=store.secret_key)
    assert await read(store, client) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_profile_of_the_configuration_file(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    credentials_file(tmp_path, "profile images", store)
    environment(AWS_CONFIG_FILE=str(tmp_path / "credentials"))
    assert await read(store, client, profile="images") == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_credentials_of_another_process(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    answered = {"Version": 1, "AccessKeyId": store.access_key, "SecretAccessKey": store.secret_key}
    (tmp_path / "answer.json").write_text(json.dumps(answered))
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = cat {tmp_path}/answer.json\n")
    environment(AWS_CONFIG_FILE=str(config))
    assert await read(store, client) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
async def test_profile_that_does_not_exist_is_told_when_the_source_is_entered(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    environment(AWS_SHARED_CREDENTIALS_FILE=credentials_file(tmp_path, "default", store))
    with pytest.raises(BadOptions, match="nobody"):
        await read(store, client, profile="nobody")


# obstore alone reads no shared files.


@pytest.fixture
def without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sluicegate.sources.aws", None)


async def warnings(caplog: pytest.LogCaptureFixture, **options: Any) -> list[str]:
    """What is logged when a store is opened, and asked for a key with an empty segment."""
    settings = StoreOptions(endpoint_url="http://127.0.0.1:9", attempts=1, **options)
    async with store_source("s3://bucket", settings) as source:
        with pytest.raises(SourceError):
            await source.open("a//b", OpenRequest())
    return [record.getMessage() for record in caplog.records if record.name == "sluicegate"]


@pytest.mark.usefixtures("without_botocore")
async def test_shared_files_that_nobody_can_read_are_told_of_once(
    environment: Environment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "credentials").touch()
    environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"))
    async with raw_origin((answer("404 Not Found"),)) as instance:
        environment(AWS_METADATA_ENDPOINT=instance.url)
        assert await warnings(caplog) == [
            f"s3://bucket: {tmp_path}/credentials cannot be read without botocore: "
            "pip install 'sluicegate[botocore]'"
        ]


@pytest.mark.usefixtures("without_botocore")
@pytest.mark.parametrize(
    ("options", "variables"),
    [
        pytest.param({"anonymous": True}, {}, id="anonymous"),
        pytest.param({"access_key_id": "key", "secret_access_key": "secret"}, {}, id="options"),
        pytest.param({}, {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}, id="environment"),
        pytest.param(
            {},
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nonexistent",
            },
            id="container",
        ),
    ],
)
async def test_shared_files_that_are_not_needed_are_not_told_of(
    options: dict[str, Any],
    variables: dict[str, str],
    environment: Environment,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "credentials").touch()
    environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"), **variables)
    assert await warnings(caplog, **options) == []


@pytest.mark.usefixtures("without_botocore")
async def test_nothing_is_told_of_where_there_are_no_shared_files(
    environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_origin((answer("404 Not Found"),)) as instance:
        environment(AWS_METADATA_ENDPOINT=instance.url)
        assert await warnings(caplog) == []


@pytest.mark.usefixtures("without_botocore")
async def test_profile_that_nobody_can_read_is_refused() -> None:
    with pytest.raises(
        BadOptions, match=r"profile 'images' needs botocore: pip install 'sluicegate\[botocore\]'"
    ):
        async with store_source("s3://bucket", StoreOptions(profile="images")):
            pass


@pytest.mark.parametrize("client", CLIENTS)
async def test_container(store: S3Server, client: Client, environment: Environment, tmp_path: Path) -> None:
    provided = {
        "AccessKeyId": store.access_key,
        "SecretAccessKey": store.secret_key,
        "Token": "",  # JuiceFS refuses tokens that it has not made, and takes an empty one for none.
        "Expiration": "2099-01-01T00:00:00Z",
    }
    token = tmp_path / "token"
    token.write_text("container-token")
    reply = answer("200 OK", json.dumps(provided).encode(), content_type="application/json")
    async with raw_origin((reply,)) as container:
        environment(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{container.url}/credentials",
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
        )
        assert await read(store, client) == b"content"
        (request,) = container.requests
        assert (request.target, request.fields["authorization"]) == ("/credentials", "container-token")


@pytest.mark.parametrize("client", CLIENTS)
async def test_envoy_41047_credentials_are_replaced_before_they_expire(
    client: Client, environment: Environment, tmp_path: Path
) -> None:
    # They would do for another two minutes, which is less than a request that begins now may take.
    soon = (datetime.now(UTC) + timedelta(minutes=2)).isoformat(timespec="seconds").replace("+00:00", "Z")
    first, second = provided("first", soon), provided("second", "2099-01-01T00:00:00Z")
    (tmp_path / "token").write_text("container-token")
    async with raw_origin((first,), (second,)) as container, raw_origin((served(b"content"),)) as origin:
        environment(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{container.url}/credentials",
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(tmp_path / "token"),
        )
        settings = StoreOptions(endpoint_url=origin.url, region="us-east-1")
        async with store_source(f"s3://{BUCKET}", settings, client=client) as source, asyncio.timeout(20):
            # obstore asks ten times a second at most; how often the first ones are used is each client's.
            while signer_of(origin) != "second":
                assert await content_of(await source.open(KEY, OpenRequest())) == b"content"
            assert await content_of(await source.open(KEY, OpenRequest())) == b"content"
        assert (signer_of(origin), len(container.requests)) == ("second", 2)


def signer_of(origin: RawOrigin) -> str | None:
    """Whose key the last request was signed with."""
    signed = origin.requests[-1].fields["authorization"] if origin.requests else ""
    return found[1] if (found := re.search("Credential=([a-z]+)/", signed)) else None


def provided(name: str, expires: str) -> bytes:
    """An answer with credentials, as a container is given them."""
    said = {"AccessKeyId": name, "SecretAccessKey": "secret", "Token": "token", "Expiration": expires}
    return answer("200 OK", json.dumps(said).encode(), content_type="application/json")


@pytest.mark.parametrize("client", CLIENTS)
async def test_web_identity(
    store: S3Server, client: Client, environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("identity-token")
    reply = answer("200 OK", granted(store), content_type="text/xml")
    # obstore asks for credentials over TLS only.
    authority, certificate = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(certificate)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with raw_origin((reply,), tls=certificate) as sts:
        environment(
            AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/reader",
            AWS_ENDPOINT_URL_STS=sts.url,
            AWS_CA_BUNDLE=str(tmp_path / "ca.pem"),
        )
        assert await read(store, client, tls_verify=str(tmp_path / "ca.pem")) == b"content"
        assert len(sts.requests) == 1


def granted(store: S3Server) -> bytes:
    """What the Security Token Service answers."""
    return (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult><Credentials>"
        f"<AccessKeyId>{store.access_key}</AccessKeyId><SecretAccessKey>{store.secret_key}</SecretAccessKey>"
        "<SessionToken></SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    ).encode()


@pytest.mark.parametrize("client", CLIENTS)
async def test_line_break_in_a_key_of_the_environment_is_told_when_the_source_is_entered(
    client: Client, environment: Environment
) -> None:
    environment(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="hunter2\n")
    settings = StoreOptions(endpoint_url="http://127.0.0.1:9", region="us-east-1")
    with pytest.raises(BadOptions, match="AWS_SECRET_ACCESS_KEY has a line break") as told:
        async with store_source(f"s3://{BUCKET}", settings, client=client):
            raise AssertionError
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("client", ["aiobotocore", "botocore"])
async def test_nobody_has_credentials(store: S3Server, client: Client) -> None:
    with pytest.raises(Denied):
        await read(store, client)


async def test_obstore_asks_for_the_role_of_the_instance_when_nobody_has_credentials(
    store: S3Server, environment: Environment
) -> None:
    async with raw_origin((answer("404 Not Found"),)) as instance:
        environment(AWS_METADATA_ENDPOINT=instance.url)
        with pytest.raises(SourceError):
            await read(store, "obstore")
        assert instance.requests


@pytest.mark.parametrize("client", CLIENTS)
def test_secrets_are_not_shown(client: Client) -> None:
    options = StoreOptions(access_key_id="key", secret_access_key="hidden", session_token="hidden")
    source = store_source("s3://bucket", options, client=client)
    assert "hidden" not in repr(options) + repr(source)
