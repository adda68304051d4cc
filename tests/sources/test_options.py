"""Locations, options and keys: what can be used, and what is refused before anything is asked."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sluicegate import HttpOptions, OpenRequest, Source, StoreOptions
from sluicegate.errors import InvalidKey, NotFound
from sluicegate.sources.base import check_key
from sluicegate.sources.opening import Client, http_source, store_source
from sluicegate.sources.options import BadOptions, Location, parse_location
from sluicegate.sources.urls import check_encoded
from sluicegate.testing import ScriptedSource
from sluicegate.testing.awkward_keys import INVALID_KEYS
from tests.sources.stores import CLIENTS, content_of


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket", Location("s3", "bucket")),
        ("s3://bucket/", Location("s3", "bucket")),
        ("s3://bucket/a/b", Location("s3", "bucket", "a/b/")),
        ("s3://bucket//a//", Location("s3", "bucket", "a/")),
        ("gs://bucket_1", Location("gs", "bucket_1")),
        ("az://container/a", Location("az", "container", "a/")),
        ("file:///srv/my%20files", Location("file", "/srv/my files")),
        ("file:///srv/a%3Fb%23c", Location("file", "/srv/a?b#c")),
        ("memory://", Location("memory", "")),
    ],
)
def test_location(url: str, location: Location) -> None:
    assert parse_location(url) == location


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "s3://",
        "s3:///key",
        "s3:bucket",
        "s3://bucket?x=1",
        "s3://bucket#x",
        "s3://key:secret@bucket",
        "s3://[",
        "ftp://host",
        "http://host",
        "file://srv/files",
        "file:relative",
        "file:///srv/a?b",
        "file:///srv/a#b",
    ],
)
def test_location_that_cannot_be(url: str) -> None:
    with pytest.raises(BadOptions) as caught:
        parse_location(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"access_key_id": "key"},
        {"secret_access_key": "secret"},
        {"session_token": "token"},
        {"anonymous": True, "profile": "images"},
        {"anonymous": True, "access_key_id": "key", "secret_access_key": "secret"},
        {"addressing": "other"},
        {"endpoint_url": ""},
        {"endpoint_url": "host:9000"},
        {"endpoint_url": "ftp://host"},
        {"endpoint_url": "http://"},
        {"endpoint_url": "http://["},
        {"endpoint_url": "http://user:secret'@host"},
        {"connect_timeout": 0},
        {"read_timeout": -1},
        {"read_timeout": float("nan")},
        {"read_timeout": 10**9},
        {"attempts": 0},
        {"max_connections": 0},
        {"access_key_id": "key\n", "secret_access_key": "secret'"},
        {"access_key_id": "key", "secret_access_key": "secret'\n"},
        {"access_key_id": "key", "secret_access_key": "x", "session_token": "secret'\r"},
        {"access_key_id": "kéy", "secret_access_key": "secret'"},
        {"account_key": " secret'"},
        {"sas_token": b"secret'"},
    ],
    ids=str,
)
def test_store_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as caught:
        StoreOptions(**options)
    assert "secret'" not in str(caught.value)


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout", "max_connections"])
def test_http_options_that_cannot_be(name: str) -> None:
    with pytest.raises(BadOptions, match=name):
        HttpOptions(**{name: -1})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [StoreOptions, HttpOptions])
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("connect_timeout", "5", "is in seconds, above 0 and below a day, got '5'"),
        (
            "read_timeout",
            timedelta(seconds=5),
            "is in seconds, above 0 and below a day, got datetime.timedelta",
        ),
        ("read_timeout", None, "is in seconds, above 0 and below a day, got None"),
        ("attempts", "3", "is a whole number, at least 1, got '3'"),
        ("max_connections", 2.5, "is a whole number, at least 1, got 2.5"),
    ],
    ids=str,
)
def test_time_or_number_of_another_type_is_told_by_its_name(
    kind: type[StoreOptions | HttpOptions], name: str, value: Any, told: str
) -> None:
    with pytest.raises(BadOptions, match=f"^{name} {told}"):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"redirects": ("http://cdn.example",)}, "redirects: 'http://cdn.example' is no host"),
        ({"redirects": ("cdn.example", "*")}, "redirects: '[*]' is no host"),
        ({"redirects": "cdn.example"}, "redirects is a sequence"),
        ({"allow_networks": ("10.0.0.1/8",)}, "allow_networks: '10.0.0.1/8' is no network"),
        ({"allow_networks": ("cdn.example",)}, "allow_networks: 'cdn.example' is no network"),
        ({"allow_networks": "10.0.0.0/8"}, "allow_networks is a sequence"),
    ],
    ids=str,
)
def test_redirects_that_cannot_be(options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadOptions, match=told):
        HttpOptions(**options)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "host",
        "ftp://host",
        "http://",
        "http:///path",
        "//host",
        "http://host?x=1",
        "http://host#x",
        "http://user:secret@host",
        "http://host:99999",
        "http://[::1",
    ],
)
def test_base_address_that_cannot_be(base_url: str) -> None:
    with pytest.raises(BadOptions) as caught:
        http_source(base_url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "a:b", ""])
def test_header_field_that_could_split_a_request_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header field"):
        http_source("http://host", HttpOptions(headers={name: "value"}))
    with pytest.raises(ValueError, match="header field"):
        http_source("http://host", HttpOptions(headers={"name": f"a\r\n{name}: b"}))


@pytest.mark.parametrize("client", ["aiobotocore", "botocore"])
def test_client_that_reads_s3_only(client: Client) -> None:
    with pytest.raises(BadOptions, match="s3://"):
        store_source("gs://bucket", client=client)


def test_client_that_does_not_exist() -> None:
    with pytest.raises(BadOptions, match="obstore"):
        store_source("s3://bucket", client="boto3")  # type: ignore[arg-type]


async def test_folder_that_does_not_exist_is_told_when_the_source_is_entered(tmp_path: Path) -> None:
    with pytest.raises(BadOptions, match="no folder"):
        async with store_source((tmp_path / "missing").as_uri()):
            pass


async def test_folder_with_an_awkward_name(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%20 ü"
    folder.mkdir()
    (folder / "key").write_bytes(b"content")
    async with store_source(folder.as_uri()) as source:
        assert await content_of(await source.open("key", OpenRequest())) == b"content"


async def test_nothing_outside_the_folder_is_reached(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    async with store_source(folder.as_uri()) as source:
        for key in ("../outside", "sub/../../outside", "%2e%2e/outside", "..%2Foutside", "sub", "sub/x/y"):
            with pytest.raises(NotFound):
                await source.open(key, OpenRequest())


async def test_source_is_entered_again(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"content")
    source = store_source(tmp_path.as_uri())
    for _ in range(2):
        async with source:
            assert await content_of(await source.open("key", OpenRequest())) == b"content"


@pytest.mark.parametrize("client", CLIENTS)
def test_every_source_is_one(client: Client) -> None:
    sources = (store_source("s3://bucket", client=client), http_source("http://host"), ScriptedSource())
    assert all(isinstance(source, Source) for source in sources)


@pytest.mark.parametrize("key", ["a", "a/b", "a//b", "/", "a..b", "...", "é", "x" * 1024, "é" * 512])
def test_key(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", INVALID_KEYS.values(), ids=INVALID_KEYS)
def test_key_that_cannot_be(key: str) -> None:
    with pytest.raises(InvalidKey):
        check_key(key)


@pytest.mark.parametrize("key", [None, b"a", b"", 5, 0, Path("a"), ["a"]], ids=repr)
def test_key_that_is_no_text(key: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"^the key {re.escape(repr(key))} is of type {type(key).__name__}, and must"
    ):
        check_key(key)
    with pytest.raises(TypeError, match=r"^the key .* must be text"):
        check_encoded(key)


@pytest.mark.parametrize("key", [None, b"a", 5, Path("a")], ids=repr)
async def test_every_source_refuses_a_key_that_is_no_text(key: Any, tmp_path: Path) -> None:
    sources = [store_source(url) for url in ("memory://", "s3://bucket", tmp_path.as_uri())]
    sources += [store_source("s3://bucket", client=client) for client in CLIENTS]
    sources += [http_source("http://host", HttpOptions(encoded_keys=encoded)) for encoded in (False, True)]
    for source in sources:
        async with source:
            with pytest.raises(TypeError, match="must be text"):
                await source.open(key, OpenRequest())
