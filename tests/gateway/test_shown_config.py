"""The configuration as it is shown: all of it, and none of its secrets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from sluicegate.gateway.config import parse_config
from sluicegate.gateway.shown_config import hidden

TEXT = """
[gateway]
title = "Shown"

[stores.images]
url = "s3://images/prefix"
endpoint_url = "https://s3.example.org"
region = "us-east-1"
access_key_id = "id-7f3a"
secret_access_key = "secret-7f3a"
session_token = "token-7f3a"

[stores.blobs]
url = "az://container"
account_name = "account"
sas_token = "sig=7f3a"

[[routes]]
path = "/files/{key:path}"
object = "images:{key}"
headers = { X-Own = "1" }

[[routes]]
path = "/other/{key:path}"
upstream = "http://other.example.org/api/{key}?token=7f3a"
request_headers = { Authorization = "Bearer 7f3a" }
"""


class Kind(Enum):
    ONE = "one"


@dataclass(frozen=True, slots=True)
class Keys:
    name: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Everything:
    url: str
    keys: Mapping[str, Keys]
    hashes: tuple[str, ...] = field(default=(), repr=False)
    nothing: str | None = field(default=None, repr=False)
    off: bool = field(default=False, repr=False)
    kind: Kind = Kind.ONE
    networks: frozenset[Any] = frozenset()
    folder: Path = Path("/srv")
    lifetime: timedelta = timedelta(days=7)
    unlimited: float = float("inf")
    other: object = None


def test_configuration_is_shown_without_its_secrets() -> None:
    config = parse_config(TEXT, {})
    text = json.dumps(hidden(config), allow_nan=False)
    assert "7f3a" not in text
    found = json.loads(text)
    assert found["gateway"]["title"] == "Shown"
    images = found["stores"]["images"]
    assert (images["url"], images["endpoint_url"]) == ("s3://images/prefix", "https://s3.example.org")
    assert [
        images[name] for name in ("access_key_id", "secret_access_key", "session_token", "account_key")
    ] == [
        *("***", "***", "***"),
        None,
    ]
    files, other = found["routes"]
    assert (files["path"], files["target"]) == ("/files/{key:path}", "images:{key}")
    assert files["headers"] == [["x-own", "1"]]
    assert other["target"]["request_headers"] == other["target"]["template"]["query"] == "***"
    assert other["target"]["template"]["base_url"] == "http://other.example.org"


def test_every_kind_of_value_is_json() -> None:
    config = Everything(
        url="redis://user:7f3a@redis.example.org:6379/0?password=7f3a",
        keys={"2026": Keys("new", b"7f3a"), "2025": Keys("old", b"7f3a")},
        hashes=("7f3a",),
        networks=frozenset({ip_network("10.0.0.0/8"), ip_network("::1/128")}),
        other=object(),
    )
    assert hidden(config) == {
        "url": "redis://***@redis.example.org:6379/0?***",
        "keys": {"2026": {"name": "new", "key": "***"}, "2025": {"name": "old", "key": "***"}},
        "hashes": "***",
        "nothing": None,
        "off": "***",
        "kind": "one",
        "networks": ["10.0.0.0/8", "::1/128"],
        "folder": "/srv",
        "lifetime": "7 days, 0:00:00",
        "unlimited": "inf",
        "other": "<object>",
    }


def test_what_is_no_dataclass_is_refused() -> None:
    with pytest.raises(TypeError, match="an instance of a dataclass, got dict"):
        hidden({"secret": "7f3a"})
