"""Holds the layout: which part may import which, where each dependency lives, and what stays pure.

The rules are the tables below. They are held against the syntax trees, so an import inside a function or
for type checking alone counts as well, and so does one by name through `importlib.import_module`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "sluicegate"

# In every table a place is a path under src/sluicegate: what ends in "/" is a folder, what ends in ".py" is
# a file, and anything else is how a file's name begins. A file obeys the longest place that fits it.

# What each place may import of Sluicegate beside itself. "sluicegate" stands for the package's public names.
LAYERS = {
    "errors.py": [],
    "trust.py": ["errors.py"],
    "http/": ["errors.py"],
    "sources/": ["errors.py", "trust.py", "http/"],
    "flow/": ["errors.py", "http/", "sources/"],
    "access/": ["errors.py", "trust.py", "http/"],
    "observe.py": ["errors.py", "http/"],
    "delivery/": ["errors.py", "http/", "sources/", "flow/", "observe.py"],
    "__init__.py": ["errors.py", "http/", "sources/", "flow/", "observe.py", "delivery/"],
    "testing/": ["sluicegate", "errors.py", "http/", "sources/", "flow/", "observe.py", "delivery/"],
    # The library's first user: the public names, and what HTTP means.
    "gateway/": [
        "sluicegate",
        "errors.py",
        "trust.py",
        "http/",
        "access/",
        "observe.py",
        "delivery/openapi.py",
    ],
    # The demo's upstream breaks on purpose, as nothing else in the gateway may.
    "gateway/demo_upstream.py": ["testing/"],
    "cli.py": ["sluicegate", "errors.py", "gateway/"],
}

# The only places that may import each dependency. One that is not named here has no place at all.
DEPENDENCIES = {
    "aiobotocore": ["sources/aiobotocore.py"],
    "aiohttp": [
        "sources/http.py",
        "sources/connecting.py",
        "access/forward.py",
        "access/key_sets.py",
        "gateway/doctor/connection.py",
    ],
    "argon2": ["access/passwords.py"],
    "anyio": ["sources/", "flow/", "delivery/", "testing/", "gateway/"],
    "botocore": [
        "sources/botocore.py",
        "sources/botocore_calls.py",
        "sources/aiobotocore.py",
        "sources/aws.py",
        "gateway/doctor/aws.py",
    ],
    "click": ["cli.py", "gateway/"],
    "cryptography": ["access/keys.py"],
    "httptools": ["gateway/protocol.py"],
    "jwt": ["access/bearer.py", "access/keys.py"],
    "limits": ["access/rate_limits.py", "access/redis_counters.py"],
    "multidict": ["sources/http.py"],
    "obstore": ["sources/object_store.py", "sources/listing.py", "testing/"],
    "opentelemetry": ["gateway/tracing.py"],
    "prometheus_client": ["gateway/metrics.py", "gateway/shared_metrics.py"],
    "pydantic": ["gateway/"],
    "pydantic_core": ["gateway/"],
    "pytest": ["testing/"],
    "redis": ["access/redis_counters.py", "gateway/doctor/counting.py"],
    "starlette": ["access/dependency.py", "delivery/responses.py", "gateway/"],
    "structlog": ["gateway/log.py"],
    "swagger_ui_bundle": ["gateway/"],
    "trustme": ["testing/certificates.py"],
    "urllib3": ["sources/botocore.py", "sources/botocore_calls.py", "sources/aws.py"],
    "uvicorn": ["cli.py", "gateway/"],
    "uvloop": ["cli.py", "gateway/"],
    "yarl": ["sources/http.py", "sources/urls.py"],
}

# What decides and never does: no waiting, no clock, no log, no chance, no input or output.
PURE = ["http/", "flow/plan.py"]
IMPURE_MODULES = {"asyncio", "logging", "os", "random", "socket", "time"}
IMPURE_CALLS = {"open", "input", "print", "now", "today", "utcnow"}
IMPURE_SYNTAX = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

PATHS = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")}


def violations(path: str, source: str, paths: set[str]) -> list[str]:
    """Return what `source` does against the rules as the file `path` in a package of the files `paths`."""
    tree = ast.parse(source, path)
    found = [problem for module in _imports(path, tree) for problem in _import_problems(path, module, paths)]
    if any(_within(path, place) for place in PURE):
        found += [f"{path}: is pure and must not {act}" for act in _impure_acts(tree)]
    return found


def _import_problems(path: str, module: str, paths: set[str]) -> Iterator[str]:
    top = module.partition(".")[0]
    if top == "sluicegate":
        target = _file_of(module, paths)
        if not _may_import(path, target):
            yield f"{path}: must not import {target}"
    elif top not in sys.stdlib_module_names and not any(
        _within(path, home) for home in DEPENDENCIES.get(top, ())
    ):
        yield f"{path}: must not import {top}"


def _may_import(path: str, target: str) -> bool:
    layer = _longest(path, LAYERS)
    allowed = [layer, *LAYERS[layer]]
    return any(
        place == "sluicegate" if target == "__init__.py" else _within(target, place) for place in allowed
    )


def _longest(path: str, places: dict[str, list[str]]) -> str:
    fitting = [place for place in places if _within(path, place)]
    assert fitting, f"{path} is in no layer: give it a line in LAYERS"
    return max(fitting, key=len)


def _within(path: str, place: str) -> bool:
    return path == place if place.endswith(".py") else path.startswith(place)


def _imports(path: str, tree: ast.Module) -> Iterator[str]:
    """Yield the dotted name of everything imported; `from a import b` is `a.b`, be it a module or not."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                origin = ".".join(filter(None, [_package(path, level), module]))
                yield from (f"{origin}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module


def _package(path: str, level: int) -> str:
    """Return the package that `level` leading dots mean in the file `path`; none for an absolute import."""
    return (
        ".".join(("sluicegate", *path.split("/")[:-1])[: None if level == 1 else 1 - level]) if level else ""
    )


def _file_of(module: str, paths: set[str]) -> str:
    """Return the file that defines `sluicegate.a.b`: the module itself, or the one whose name `b` is."""
    parts = module.split(".")[1:]
    for end in range(len(parts), 0, -1):
        stem = "/".join(parts[:end])
        for candidate in (f"{stem}.py", f"{stem}/__init__.py"):
            if candidate in paths:
                return candidate
    return "__init__.py"


def _impure_acts(tree: ast.Module) -> Iterator[str]:
    modules = {module.partition(".")[0] for module in _imports("", tree)}
    yield from (f"import {module}" for module in sorted(modules & IMPURE_MODULES))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in IMPURE_CALLS:
                yield f"call {name}()"
            case ast.comprehension(is_async=1):
                yield "wait"
            case _ if isinstance(node, IMPURE_SYNTAX):
                yield "wait"


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_file_keeps_to_its_layer(path: str) -> None:
    found = violations(path, (ROOT / path).read_text("utf-8"), PATHS)
    assert not found, "\n".join(found)


def test_every_home_of_a_dependency_exists() -> None:
    homes = {home for places in DEPENDENCIES.values() for home in places}
    assert sorted(home for home in homes if not any(_within(path, home) for path in PATHS)) == []


# A package to break the rules in.
SAMPLE = {
    *("__init__.py", "cli.py", "errors.py"),
    *("http/__init__.py", "http/ranges.py", "sources/__init__.py", "sources/base.py"),
    *("flow/__init__.py", "flow/plan.py"),
    *("delivery/__init__.py", "delivery/openapi.py", "delivery/pump.py"),
    *("testing/__init__.py", "gateway/__init__.py", "gateway/app.py", "gateway/demo.py"),
}


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        pytest.param("http/ranges.py", "from sluicegate.sources import base", "sources/base.py", id="upward"),
        pytest.param("http/ranges.py", "from ..sources.base import Body", "sources/base.py", id="relative"),
        pytest.param(
            "sources/base.py", "from sluicegate import flow", "flow/__init__.py", id="through-the-package"
        ),
        pytest.param(
            "sources/base.py", "from sluicegate import ObjectResponse", "__init__.py", id="own-public-name"
        ),
        pytest.param(
            "sources/base.py", "import sluicegate.delivery.pump", "delivery/pump.py", id="plain-import"
        ),
        pytest.param("sources/base.py", "def f():\n    import aiohttp", "aiohttp", id="inside-a-function"),
        pytest.param(
            "sources/base.py", "if TYPE_CHECKING:\n    import obstore", "obstore", id="for-types-only"
        ),
        pytest.param(
            "sources/base.py", "importlib.import_module('botocore.session')", "botocore", id="by-name"
        ),
        pytest.param(
            "delivery/pump.py", "from starlette.types import Send", "starlette", id="dependency-elsewhere"
        ),
        pytest.param("delivery/pump.py", "import requests", "requests", id="unknown-dependency"),
        pytest.param(
            "delivery/pump.py", "import sluicegate.testing", "testing/__init__.py", id="testing-in-library"
        ),
        pytest.param(
            "testing/__init__.py", "import sluicegate.gateway.app", "gateway/app.py", id="testing-of-gateway"
        ),
        pytest.param(
            "gateway/app.py", "import sluicegate.delivery.pump", "delivery/pump.py", id="private-in-gateway"
        ),
        pytest.param(
            "gateway/app.py", "import sluicegate.testing", "testing/__init__.py", id="testing-in-gateway"
        ),
        pytest.param(
            "gateway/demo_upstream.py", "from . import app", "gateway/app.py", id="gateway-in-its-upstream"
        ),
        pytest.param("gateway/app.py", "from .. import cli", "cli.py", id="command-line-in-gateway"),
    ],
)
def test_forbidden_import_is_caught(path: str, source: str, expected: str) -> None:
    assert violations(path, source, SAMPLE) == [f"{path}: must not import {expected}"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("async def f(): ...", "wait", id="coroutine"),
        pytest.param("[x async for x in y]", "wait", id="asynchronous-comprehension"),
        pytest.param("open('x')", "call open()", id="open"),
        pytest.param("datetime.now(UTC)", "call now()", id="time-of-day"),
        pytest.param("import os.path", "import os", id="os"),
        pytest.param("from time import monotonic", "import time", id="clock"),
        pytest.param("import logging", "import logging", id="log"),
    ],
)
@pytest.mark.parametrize("path", ["http/ranges.py", "flow/plan.py"])
def test_impure_act_is_caught(path: str, source: str, expected: str) -> None:
    assert violations(path, source, SAMPLE) == [f"{path}: is pure and must not {expected}"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        pytest.param("http/ranges.py", "import re\nfrom sluicegate.errors import NotFound", id="downward"),
        pytest.param("flow/plan.py", "from sluicegate.http.ranges import Span", id="past-a-layer"),
        pytest.param("__init__.py", "from .delivery.pump import pump", id="public-names"),
        pytest.param(
            "gateway/app.py", "from sluicegate import ObjectResponse\nfrom . import demo", id="gateway"
        ),
        pytest.param("gateway/app.py", "from sluicegate.http import ranges", id="meaning-in-gateway"),
        pytest.param(
            "gateway/demo_upstream.py",
            "from sluicegate.testing import FaultyOrigin",
            id="testing-in-the-demo",
        ),
        pytest.param("cli.py", "import click\nfrom sluicegate.gateway.app import app", id="command-line"),
    ],
)
def test_import_within_the_rules_passes(path: str, source: str) -> None:
    assert violations(path, source, SAMPLE) == []
