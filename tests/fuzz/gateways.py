"""The target that asks a whole gateway, as an application, for whatever a request can be."""

import asyncio
import re
import secrets
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

from starlette.types import Message, Receive, Scope, Send

from sluicegate import TransferRecord
from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from sluicegate.http.paths import BadPath, canonical_segments

from .credentials import API_KEY, AUDIENCE, ISSUER, PASSWORD_HASH, SECRET, key_file
from .waiting import kept, opened, wait

INSIDE = b"Only for those who may: " + secrets.token_hex(8).encode()
"""What stands in objects that nobody may read here, and in a file beside the folder of objects."""

OBJECTS = {
    "public/a.txt": b"Hello, world.\n",
    "public/page.html": b"<script>alert(1)</script>",
    "public/film/1.ts": bytes(range(256)) * 40,
    "public/empty": b"",
    "public/a b+c (1)'!.jpg": b"odd",
    "private/a.txt": INSIDE,
}

CONFIG = """
[limits]
max_ranges = 8
[stores.files]
url = "file://./objects"
[stores.nothing]
url = "memory://"
[auth.links]
type = "signed"
keys = {{ k1 = "{secret}" }}
cookie_for_prefix = true
[auth.partners]
type = "api_key"
keys = {{ acme = "{api_key}" }}
parameter = "key"
[auth.staff]
type = "basic"
users = {{ alice = "{password}" }}
[auth.login]
type = "jwt"
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["EdDSA"]
key_file = "{key_file}"
[gateway]
openapi = true
trusted_proxies = ["192.0.2.0/24"]
server_timing = true
[defaults]
auth = "public"
[defaults.cors]
origins = ["https://app.example.com"]
credentials = true
[[routes]]
path = "/open/{{key:path}}"
object = "files:{{key}}"
key_prefixes = ["public/"]
[[routes]]
path = "/stores/{{store}}/{{key:path}}"
object = "{{store}}:public/{{key}}"
stores = ["files", "nothing"]
active_content = "attachment"
[[routes]]
path = "/numbers/{{number:int}}/{{id:uuid}}"
object = "files:public/{{number}}/{{id}}"
methods = ["GET"]
[[routes]]
path = "/guarded/{{key:path}}"
object = "files:{{key}}"
auth = ["links", "partners", "staff", "login"]
[[routes]]
path = "/guarded/mine/{{name}}"
object = "files:private/{{claims.sub}}/{{name}}"
auth = ["login"]
"""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_WITHOUT_CONTENT = (204, 304)


@dataclass
class _Exchange:
    """A request, what was sent for it, and what was recorded of it."""

    scope: Scope
    messages: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.messages.append(message)

    def check(self, records: list[TransferRecord]) -> None:
        """Raise for an answer that is none, or that nobody may get."""
        start, *bodies = self.messages
        assert start["type"] == "http.response.start"
        assert bodies, "no body"
        assert all(message["type"] == "http.response.body" for message in bodies)
        assert [message.get("more_body", False) for message in bodies] == [True] * (len(bodies) - 1) + [False]
        content = b"".join(message.get("body", b"") for message in bodies)
        assert INSIDE not in content, "the content of another object"
        self._check_head(start, content)
        self._check_access(start["status"])
        for record in records:
            assert (record.status, record.bytes_sent) == (start["status"], len(content))

    def _check_head(self, start: Message, content: bytes) -> None:
        status, headers = start["status"], list(start["headers"])
        assert 200 <= status < 500, f"status {status}"
        assert all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers), headers
        names = [name for name, _ in headers]
        assert len(names) == len(set(names)), f"a field twice: {names}"
        length = dict(headers).get(b"content-length")
        if status in _WITHOUT_CONTENT:
            assert content == b""
        # To a HEAD, servers send no content that an application may have given them.
        elif length is not None and not (self.scope["method"] == "HEAD" and content == b""):
            assert int(length) == len(content)

    def _check_access(self, status: int) -> None:
        try:
            segments = canonical_segments(self.scope["raw_path"])
        except BadPath:
            assert status == 400, "a path that means nothing"
            return
        if segments[0] == "guarded" and self.scope["method"] in ("GET", "HEAD"):
            assert status >= 400, "answered without a credential"


class Checked:
    """A gateway whose every answer is looked at; what is wrong is kept, for a server would only log it."""

    def __init__(self, config: str, folder: Path) -> None:
        self._wrong: list[Exception] = []
        self._records: list[TransferRecord] = []
        read = parse_config(config, {}, name=str(folder / "sluicegate.toml"))
        self._gateway = Gateway(read, self._records.append)
        opened(self._gateway.opened())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope)

        async def both(message: Message) -> None:
            await exchange.send(message)
            await send(message)

        self._records.clear()
        try:
            await self._gateway(scope, receive, both)
            exchange.check(self._records)
        except Exception as exc:  # noqa: BLE001
            self._wrong.append(exc)

    def raise_wrong(self) -> None:
        """Raise what was wrong since the last time."""
        wrong, self._wrong = self._wrong, []
        if wrong:
            raise wrong[0]


@cache
def checked_gateway() -> Checked:
    """The gateway of `CONFIG`, open, with the objects in a folder of its own."""
    folder = Path(kept().enter_context(tempfile.TemporaryDirectory(prefix="sluicegate-fuzz-")))
    for key, content in OBJECTS.items():
        file = folder / "objects" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (folder / "beside.txt").write_bytes(INSIDE)
    (folder / "a.txt").write_bytes(INSIDE)
    secrets_of = {"secret": SECRET, "api_key": API_KEY, "password": PASSWORD_HASH, "key_file": key_file()}
    return Checked(CONFIG.format(issuer=ISSUER, audience=AUDIENCE, **secrets_of), folder)


def request(data: bytes) -> None:
    """Any request is answered once, as a whole, by less than 500, and with nothing that is not for anybody.

    The first line is a method and a target, the others are fields.
    """
    gateway = checked_gateway()
    wait(gateway(scope_of(data), _nothing_more(), _nowhere))
    gateway.raise_wrong()


def scope_of(data: bytes) -> Scope:
    """The request that these bytes are, as servers hand it on, without what none of them lets through."""
    line, *lines = data.split(b"\n")
    method, _, target = line.partition(b" ")
    raw_path, _, query = target.partition(b"?")
    # RFC 9112, section 3.2.1: a client "MUST send "/" as the path" where its own is empty.
    raw_path = raw_path or b"/"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": b"".join(_TOKEN.findall(method)).decode("ascii") or "GET",
        "scheme": "http",
        "raw_path": raw_path,
        "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
        "query_string": query,
        "root_path": "",
        "headers": [one for text in lines if (one := _field(text)) is not None],
        "client": ("192.0.2.9", 50_000),
        "server": ("192.0.2.1", 80),
    }


def _field(line: bytes) -> tuple[bytes, bytes] | None:
    name, _, value = line.partition(b":")
    if not _TOKEN.fullmatch(name):
        return None
    return name.lower(), _UNSENDABLE.sub(b"", value).strip(b" \t")


async def _nowhere(message: Message) -> None:
    """What is sent has been looked at by then."""


def _nothing_more() -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    return receive
