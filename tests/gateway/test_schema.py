"""The JSON Schema of the configuration: it takes what is right, and every key says what it is for."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sluicegate.gateway.init_command import initial_configuration
from sluicegate.gateway.schema import configuration_schema

from .config_texts import EXAMPLE

SCHEMA = configuration_schema()
DOCS = Path(__file__).parents[2] / "docs"


def examples() -> Iterator[Any]:
    yield pytest.param(EXAMPLE, id="example")
    yield pytest.param(initial_configuration("k" * 40), id="initial")
    for page in ("configuration", "access"):
        texts = (DOCS / f"{page}.md").read_text("utf-8").split("```toml\n")[1:]
        for index, text in enumerate(texts):
            if "did you mean" not in text and "boto3" not in text:
                yield pytest.param(text.partition("```")[0], id=f"{page}-{index}")


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", list(examples()))
def test_configurations_are_valid(text: str) -> None:
    jsonschema.validate(tomllib.loads(text), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[store.s]\nurl = 'x'", id="unknown-table"),
        pytest.param("[stores.s]\nurls = 'x'", id="unknown-key"),
        pytest.param("[[routes]]\npath = 5", id="another-type"),
        pytest.param("[gateway]\ndenied_status = 500", id="another-choice"),
        pytest.param("[limits]\ntransfers = -1", id="below-zero"),
        pytest.param("[auth.a]\ntype = 'oauth'", id="another-kind"),
        pytest.param("[defaults]\nauth = []", id="nobody-may-read"),
        pytest.param("[[routes]]\nmethods = []", id="no-method"),
        pytest.param("[[routes]]\nkey_prefixes = []", id="no-prefix"),
    ],
)
def test_mistakes_are_not(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), SCHEMA)


def test_every_key_is_described() -> None:
    tables = [SCHEMA, *SCHEMA["$defs"].values()]
    named = [(table["title"], key, of) for table in tables for key, of in table["properties"].items()]
    assert [(title, key) for title, key, of in named if not {"description", "$ref"} & of.keys()] == []
