"""The admin application: what operators and their tools ask, at an address of its own.

It has no passwords: the address is the protection. So nothing here may be reached through a browser that a
stranger's page was opened in.
"""

from __future__ import annotations

import json
import os.path
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from anyio import to_thread
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sluicegate import SluicegateError
from sluicegate.http.fields import is_valid_host

from .metrics import Exposition
from .readiness import ReadinessReport
from .reloading import Reload, refused
from .shared_metrics import CannotMeasure

_FIELDS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}
_READ: Final = ("GET", "HEAD")

LARGEST_CONTENT: Final = 16 * 1024
"""Bytes of a request's content: a link is asked for in a tenth of it."""

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Sluicegate</title></head>
<body>
<h1>Sluicegate</h1>
<ul>
{links}
</ul>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class AdminTools:
    """What the admin application shows and does.

    - `exposition`: all numbers in the format that an `Accept` field asks for. It is called in a thread.
    - `report`: whether the sources can be read from.
    - `config`: the configuration without its secrets.
    - `reload`: reads the configuration again; `file` is where it does.
    - `sign`, `revoke`: make a link of what is asked, and end one; raise `SluicegateError` with what is wrong.
    """

    exposition: Callable[[str], Exposition]
    report: Callable[[], Awaitable[ReadinessReport]]
    config: Callable[[], Mapping[str, object]]
    reload: Reload
    sign: Callable[[Mapping[str, object]], Mapping[str, object]]
    revoke: Callable[[Mapping[str, object]], Mapping[str, object]]
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as far as an answer may need it: its fields by lower-case name, and its content."""

    fields: Mapping[str, str]
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class _Place:
    """What is at a path: for which methods, and how it answers a request."""

    methods: tuple[str, ...]
    answer: Callable[[_Asked], Awaitable[Response]]
    purpose: str


class AdminApp:
    """An ASGI application: `/metrics`, `/healthz`, `/readyz`, `/config`, what can be done, and a list of it.

    `hosts` are names, in lower case and without a port, by which it may be asked for beside `localhost` and
    addresses: another name may be a stranger's, whose page wants to read the answers (DNS rebinding).
    """

    def __init__(self, tools: AdminTools, *, hosts: Collection[str] = ()) -> None:
        self._tools = tools
        self._hosts = frozenset({"localhost", *hosts})
        self._places = {
            "/": _Place(_READ, self._index, "this page"),
            "/metrics": _Place(_READ, self._metrics, "numbers for Prometheus"),
            "/healthz": _Place(_READ, self._health, "whether the process answers"),
            "/readyz": _Place(_READ, self._readiness, "whether each store and upstream answers"),
            "/config": _Place(_READ, self._config, "the configuration in use, without secrets"),
            "/reload": _Place(("POST",), self._reload, "POST: read the configuration again"),
            "/links": _Place(("POST",), self._sign, "POST: make a signed link"),
            "/revoke": _Place(("POST",), self._revoke, "POST: end a signed link"),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's lifespan."""
        if scope["type"] == "http":
            answer = await self._answer(scope, receive)
            await answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in pairs if name == "host"]
        if not is_valid_host(hosts, scope["http_version"]):
            return _text(400, "exactly one valid Host header field is needed")
        if hosts and not self._is_ours(hosts[0]):
            return _text(421, "the Host is neither an address nor localhost, nor a name that was configured")
        place = self._places.get(scope["path"])
        if place is None:
            return _text(404, "nothing is here")
        if scope["method"] not in place.methods:
            return _text(405, "method not allowed", {"allow": ", ".join(place.methods)})
        fields = dict(pairs)
        if scope["method"] == "POST" and _is_from_a_page(fields):
            return _text(403, "a browser sent this for a page: use curl, or `sluicegate reload`")
        content = await _content(receive) if scope["method"] == "POST" else b""
        if content is None:
            return _text(413, f"at most {LARGEST_CONTENT} bytes are read")
        return await place.answer(_Asked(fields, content))

    def _is_ours(self, host: str) -> bool:
        """Whether nobody else can have this name: addresses are not looked up."""
        name = host.strip(" \t").lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        return name in self._hosts or _is_address(name)

    # What is at the paths.

    async def _index(self, asked: _Asked) -> Response:
        links = [
            f'<li><a href="{path}">{path}</a>: {place.purpose}</li>' for path, place in self._places.items()
        ]
        return HTMLResponse(_PAGE.format(links="\n".join(links)), headers=_FIELDS)

    async def _metrics(self, asked: _Asked) -> Response:
        try:
            # The files of many workers take a while, in which transfers go on.
            shown = await to_thread.run_sync(self._tools.exposition, asked.fields.get("accept", ""))
        except CannotMeasure as exc:
            return _text(503, str(exc))
        return Response(shown.content, headers={**_FIELDS, "content-type": shown.media_type})

    async def _health(self, asked: _Asked) -> Response:
        return _text(200, "ok")

    async def _readiness(self, asked: _Asked) -> Response:
        report = await self._tools.report()
        return _json(200 if report.ready else 503, asdict(report))

    async def _config(self, asked: _Asked) -> Response:
        return _json(200, self._tools.config())

    async def _reload(self, asked: _Asked) -> Response:
        # Who names no file means whatever is served here.
        document = _document(asked.content) if asked.content else {}
        if isinstance(document, Response):
            return document
        if (reason := _other_file(document.get("config"), self._tools.file)) is not None:
            return _json(409, asdict(refused(reason)))
        return _json(200 if (result := await self._tools.reload()).ok else 422, asdict(result))

    async def _sign(self, asked: _Asked) -> Response:
        return _done(self._tools.sign, asked.content)

    async def _revoke(self, asked: _Asked) -> Response:
        return _done(self._tools.revoke, asked.content)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_from_a_page(fields: Mapping[str, str]) -> bool:
    """Browsers name the page that makes them send a POST, or say at least what kind of page it is."""
    return "origin" in fields or fields.get("sec-fetch-site", "none") != "none"


async def _content(receive: Receive) -> bytes | None:
    """The content of a request; `None` if it is too large, or did not come as a whole."""
    content: bytes = b""
    is_complete = False
    while not is_complete:
        message = await receive()
        content += message.get("body", b"")
        is_complete = not message.get("more_body", False)
        if message["type"] != "http.request" or len(content) > LARGEST_CONTENT:
            return None
    return content


def _document(content: bytes) -> dict[str, object] | Response:
    """What a request holds, or the answer to one that holds no document."""
    try:
        asked = json.loads(content)
    except (ValueError, RecursionError):
        return _text(400, "the content is not JSON")
    return asked if isinstance(asked, dict) else _text(400, "the content is not a JSON object")


def _other_file(named: object, served: Path | None) -> str | None:
    """Why a reload of the file that was named is not this gateway's; `None` if it is."""
    if named is None or served is None or named == os.path.realpath(served):
        return None
    return (
        f"this gateway serves {os.path.realpath(served)!r}, not {named!r}: name that one, or the [admin] "
        "address of the gateway that you mean"
    )


def _done(act: Callable[[Mapping[str, object]], Mapping[str, object]], content: bytes) -> Response:
    """The answer to a document that asks for something to be done."""
    asked = _document(content)
    if isinstance(asked, Response):
        return asked
    try:
        return _json(200, act(asked))
    except SluicegateError as exc:
        return _text(422, str(exc))


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def _text(status: int, content: str, more: Mapping[str, str] | None = None) -> Response:
    headers = {**_FIELDS, **(more or {})}
    return Response(f"{content}\n", status, headers, media_type="text/plain")


def _json(status: int, content: Mapping[str, object]) -> Response:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return Response(f"{text}\n", status, _FIELDS, media_type="application/json")
