"""`/openapi.json` and `/docs`: what the gateway says of its routes. Swagger UI comes from its package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import swagger_ui_bundle
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .config import Config
from .openapi import openapi_document

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
    """Responses by path."""
    folder = Path(swagger_ui_bundle.swagger_ui_path)
    page = _PAGE.format(title=_escape(config.gateway.title))
    document = json.dumps(openapi_document(config, version))
    return {
        "/openapi.json": Response(document, media_type="application/json"),
        "/docs": HTMLResponse(page),
        **{f"/docs/{name}": _file(folder / name, kind) for name, kind in _ASSETS.items()},
    }


def _file(path: Path, media_type: str) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        # One for each request: older Starlettes keep what they answered last, a range for example.
        await FileResponse(path, media_type=media_type)(scope, receive, send)

    return answer


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
