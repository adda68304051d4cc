"""`/openapi.json` and `/docs`: what the gateway says of its routes. Swagger UI comes from its package."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

import swagger_ui_bundle
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .config import Config
from .openapi import openapi_document

PIECE_SIZE: Final = 64 * 1024
"""Bytes that are sent at a time: no more waits for a client that reads nothing."""

_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({{url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true}})</script>
</body>
</html>
"""


def documents(config: Config, version: str) -> dict[str, ASGIApp]:
    """Applications by path. What they answer is made and read here, once."""
    page = _PAGE.format(title=_escape(config.gateway.title))
    document = json.dumps(openapi_document(config, version))
    return {
        "/openapi.json": _document(document.encode(), "application/json"),
        "/docs": _document(page.encode(), "text/html"),
        **{f"/docs/{name}": _asset(name, kind) for name, kind in _ASSETS.items()},
    }


@cache
def _asset(name: str, media_type: str) -> ASGIApp:
    """A file of Swagger UI, which all configurations of a process share."""
    return _document((Path(swagger_ui_bundle.swagger_ui_path) / name).read_bytes(), media_type)


def _document(content: bytes, media_type: str) -> ASGIApp:
    """An application that answers with all of `content`, whatever part of it is asked for."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    head = Response(content, media_type=media_type, headers={"etag": etag}).raw_headers

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for start in range(0, len(content), PIECE_SIZE):
            piece = content[start : start + PIECE_SIZE]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return answer


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
