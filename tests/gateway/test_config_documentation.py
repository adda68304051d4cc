"""`docs/configuration.md` is true: its examples work, its mistakes are the real ones, no key is missing."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from sluicegate import TransferRecord
from sluicegate.gateway.config import ConfigError, parse_config
from sluicegate.gateway.config.tables import (
    AdminTable,
    AuthTable,
    CorsTable,
    DefaultsTable,
    GatewayTable,
    RouteTable,
    ServerLimitsTable,
    StoreTable,
    TlsTable,
    TransfersTable,
)
from sluicegate.gateway.config.values import TransfersConfig

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
*EXAMPLES, MISTAKEN = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ENVIRON = dict.fromkeys(("MINIO_KEY", "MINIO_SECRET", "BACKUP_SAS", "REPORTS_TOKEN"), "x")


def test_examples_are_configurations(tmp_path: Path) -> None:
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "internal.pem").touch()
    routes = [len(parse_config(text, ENVIRON, name=f"{tmp_path}/a.toml").routes) for text in EXAMPLES]
    assert routes == [3, 1, 1, 1, 1]


def test_mistakes_are_the_real_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(MISTAKEN, {})
    (output,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert f"{caught.value}\n{len(caught.value.mistakes)} mistakes\n" == output


@pytest.mark.parametrize(
    "key",
    sorted(
        {
            *StoreTable.model_fields,
            *RouteTable.model_fields,
            *AuthTable.model_fields,
            *CorsTable.model_fields,
            *DefaultsTable.model_fields,
            *ServerLimitsTable.model_fields,
            *GatewayTable.model_fields,
            *TransfersTable.model_fields,
            *AdminTable.model_fields,
            *TlsTable.model_fields,
        }
    ),
)
def test_every_key_has_a_row(key: str) -> None:
    assert re.search(rf"^\| (?:`\w+`, )*`{key}`(?:, `\w+`)* \| ", PAGE, re.MULTILINE)


def test_examples_of_access_are_configurations(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    secrets = dict.fromkeys(("LINK_KEY_1", "LINK_KEY_2"), "0123456789abcdef0123456789abcdef")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    routes = [len(parse_config(text, secrets, name=f"{tmp_path}/a.toml").routes) for text in examples]
    assert routes == [3, 1, 1]


def test_defaults_of_transfers_are_the_real_ones() -> None:
    (section,) = re.findall(r"\n## Transfers\n(.*?)\n## ", PAGE, re.DOTALL)
    told = dict(re.findall(r"^\| `(\w+)` \| \w+ \| `(.*?)` \|", section, re.MULTILINE))
    lines = "\n".join(f"{key} = {value}" for key, value in told.items())
    config = parse_config(f"[transfers]\n{lines}\n{EXAMPLES[0]}", ENVIRON)
    assert (set(told), config.transfers) == (set(TransfersTable.model_fields), TransfersConfig())


def test_every_field_of_the_log_has_a_row() -> None:
    written = {*(field.name for field in fields(TransferRecord)), "span_start", "span_stop"}
    written -= {"span_served", "parent", "events"}
    (section,) = re.findall(r"## The log\n(.*?)\n## ", PAGE, re.DOTALL)
    assert [name for name in sorted(written) if f"`{name}`" not in section] == []
    (line,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    assert set(json.loads(line)) <= {"timestamp", "level", "logger", "event", *written}
