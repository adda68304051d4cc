"""Files that a configuration names, opened as the gateway opens them: what is wrong is told before it starts.

Nothing is connected to, and nothing that a file holds is told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from sluicegate import SluicegateError
from sluicegate.trust import client_context

from .config import Config, UpstreamConfig
from .config.errors import Report
from .config.lines import Location
from .config.values import ForwardAuthConfig, JwtAuth
from .tls import load_certificate


class CannotTrust(SluicegateError):
    """A file is none of certificate authorities; the message says why."""


def check_files(config: Config, report: Report) -> None:
    """Report the files that the gateway could not use, each at its key."""
    if config.tls is not None:
        try:
            load_certificate(config.tls)
        except SluicegateError as exc:
            report.add_reason(("tls", "certificate"), str(exc))
    for location, path in _authorities(config):
        try:
            client_context(path, CannotTrust)
        except CannotTrust as exc:
            report.add_reason(location, str(exc).removeprefix("tls_verify: "))
    for name, auth in config.auth.items():
        if isinstance(auth, JwtAuth) and auth.key_file is not None:
            _check_keys(auth.key_file, ("auth", name, "key_file"), report)
    for name, store in config.stores.items():
        if store.service_account_file is not None:
            _check_json(store.service_account_file, ("stores", name, "service_account_file"), report)


def _authorities(config: Config) -> Iterator[tuple[Location, str]]:
    """The files of certificate authorities, and where they are named."""
    named: list[tuple[Location, bool | str]] = [
        (("stores", name), store.tls_verify) for name, store in config.stores.items()
    ]
    for name, auth in config.auth.items():
        if isinstance(auth, JwtAuth):
            named.append((("auth", name), auth.tls_verify))
        if isinstance(auth, ForwardAuthConfig):
            named.append((("auth", name), auth.options.tls_verify))
    for index, route in enumerate(config.routes):
        if isinstance(route.target, UpstreamConfig):
            named.append((("routes", index), route.target.tls_verify))
    for location, value in named:
        if isinstance(value, str):
            yield (*location, "tls_verify"), value


def _check_keys(path: str, location: Location, report: Report) -> None:
    # Here: its libraries take longer to import than all of the gateway.
    from sluicegate.access.key_sets import FileKeys  # noqa: PLC0415

    async def read() -> None:
        async with FileKeys(Path(path)):
            pass

    try:
        asyncio.run(read())
    except SluicegateError as exc:
        report.add_reason(location, str(exc))


def _check_json(path: str, location: Location, report: Report) -> None:
    try:
        is_object = isinstance(json.loads(Path(path).read_bytes()), dict)
    except OSError as exc:
        report.add_reason(location, f"cannot read {path!r}: {exc.strerror or type(exc).__name__}")
        return
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        report.add_reason(location, f"{path!r} is not the JSON key file of a service account")
