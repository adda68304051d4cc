"""Asking a gateway that runs, at the address of its administration, to read its configuration again."""

from __future__ import annotations

import http.client
import json
import os.path
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from sluicegate.errors import SluicegateError

from .agreement import VERDICT_SECONDS
from .reloading import ReloadResult

DEFAULT_ADMIN: Final = "127.0.0.1:9464"

PATH: Final = "/reload"

ANSWER_SECONDS: Final = VERDICT_SECONDS + 10.0
"""A gateway answers when all its workers have changed, or one of them could not."""

LONGEST_ANSWER: Final = 1024 * 1024

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")


class CannotAsk(SluicegateError):
    """The gateway could not be asked; the message says where it was looked for."""


def ask_reload(admin: str, file: Path | None = None) -> ReloadResult:
    """POST /reload at `admin`, HOST:PORT, and return what the gateway says; raises `CannotAsk`.

    With a `file`, a gateway that serves another one refuses: several may run on a machine. An answer is
    `{"ok": …, "message": …}` as JSON, whatever its status.
    """
    if not _ADDRESS.fullmatch(admin):
        raise CannotAsk(f"--admin: found {admin!r}; expected HOST:PORT")
    url = f"http://{admin}{PATH}"
    content = b"" if file is None else json.dumps({"config": os.path.realpath(file)}).encode()
    request = urllib.request.Request(url, data=content, method="POST")
    # Past what the environment says of proxies: the address is that of a gateway nearby.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return _result(url, answer.read(LONGEST_ANSWER))
    except urllib.error.HTTPError as exc:
        with exc:
            return _result(url, exc.read(LONGEST_ANSWER))
    except (OSError, http.client.HTTPException) as exc:
        found = getattr(exc, "reason", None) or exc
        raise CannotAsk(
            f"cannot ask {url}: {found}; is it the [admin] address of a gateway that runs?"
        ) from exc


def _result(url: str, content: bytes) -> ReloadResult:
    try:
        match json.loads(content):
            case {"ok": bool(ok), "message": str(message)}:
                return ReloadResult(ok, message)
    except ValueError:
        pass
    raise CannotAsk(f"cannot understand what {url} answered: it is no gateway's administration")
