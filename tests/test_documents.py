"""The documents say nothing that is not there: tests that they name, files that they link, code that runs."""

import os
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from sluicegate import ObjectResponse, object_route
from sluicegate.access import hash_key, hash_password, require
from sluicegate.testing import FaultyOrigin

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

_TEST = re.compile(r"`([a-z_]+/[a-z_]+)::([a-z0-9_]+)`")
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


CONTRACTS = ("http.md", "reliability.md")


def named_tests(*documents: str) -> list[tuple[str, str]]:
    texts = ((ROOT / "docs" / document).read_text() for document in documents)
    return sorted({(file, name) for text in texts for file, name in _TEST.findall(text)})


@pytest.mark.parametrize(("document", "least"), [("http.md", 41), ("reliability.md", 30)])
def test_contract_names_tests(document: str, least: int) -> None:
    assert len(named_tests(document)) >= least


@pytest.mark.parametrize(("file", "name"), named_tests(*CONTRACTS))
def test_test_that_a_contract_names_exists(file: str, name: str) -> None:
    folder, _, stem = file.partition("/")
    source = (ROOT / "tests" / folder / f"test_{stem}.py").read_text()
    assert re.search(rf"^(?:async )?def test_{name}\(", source, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    for target in _LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target


# The Python blocks of a page are one program, from its top to its end.

HOLDER, PASSWORD = "sg_" + "k" * 43, "correct horse"


@pytest.fixture
def environment(faulty_origin: FaultyOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the programs of the pages read, and stores that hold `a.mp4`."""
    for bucket in ("media", "images"):
        faulty_origin.put(f"/{bucket}/a.mp4", b"content")
    settings = {
        "LINK_KEY_1": "1" * 40,
        "LINK_KEY_2": "2" * 40,
        "ACME_KEY_HASH": hash_key(HOLDER),
        "ANNA_PASSWORD_HASH": hash_password(PASSWORD),
        "AWS_ENDPOINT_URL": faulty_origin.url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def program(page: str) -> dict[str, Any]:
    """The names that the blocks of a page define, when they are run; its service is the origin."""
    names: dict[str, Any] = {}
    text = (ROOT / "docs" / page).read_text().replace("http://127.0.0.1:9000", os.environ["AWS_ENDPOINT_URL"])
    for block in _PYTHON.findall(text):
        exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.usefixtures("environment")
def test_access_page_serves_who_has_a_link() -> None:
    names = program("access.md")
    with TestClient(names["app"]) as client:
        assert client.get("/media/a.mp4").status_code == 403
        assert client.get(names["links"].link("/media/a.mp4", 60)).content == b"content"
    assert names["url"].startswith("/media/a.mp4?link=")
    assert names["film"].startswith("/media/film/?link=")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("name", "refused", "shown"),
    [
        ("links", 403, None),
        ("tokens", 401, None),
        ("partners", 401, {"x-api-key": HOLDER}),
        ("people", 401, {"authorization": f"Basic {b64encode(f'anna:{PASSWORD}'.encode()).decode()}"}),
        ("own", 403, None),
        ("anyone", 401, {"x-api-key": HOLDER}),
    ],
)
def test_verifiers_of_the_access_page_are_used_alike(
    name: str, refused: int, shown: dict[str, str] | None
) -> None:
    names = program("access.md")
    verifier, media = names[name], names["media"]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with media, verifier:
            yield

    app = FastAPI(lifespan=lifespan)

    @object_route(app, "/{key}", dependencies=[Depends(require(verifier))])
    async def file(key: str) -> ObjectResponse:
        return ObjectResponse(media, key)

    with TestClient(app) as client:
        assert client.get("/a.mp4").status_code == refused
        if shown is not None:
            assert client.get("/a.mp4", headers=shown).content == b"content"


@pytest.mark.usefixtures("environment")
def test_observing_page_tells_of_a_transfer(capsys: pytest.CaptureFixture[str]) -> None:
    with TestClient(program("observing.md")["app"]) as client:
        assert client.get("/files/a.mp4").content == b"content"
    assert capsys.readouterr().out == "/files/{key:path} 200 7 complete\n"
