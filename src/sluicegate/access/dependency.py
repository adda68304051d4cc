"""Verifiers as dependencies of FastAPI's path operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from sluicegate.access.base import AccessRequest, Grant, Refusal, Verifier
from sluicegate.http.addresses import Network, client_address
from sluicegate.http.paths import BadPath, canonical_path, canonical_segments


def require(
    verifier: Verifier, *, trusted_proxies: Sequence[Network] = ()
) -> Callable[[Request], Awaitable[Grant]]:
    """Return a dependency that lets a request pass if `verifier` grants it; its value is the `Grant`.

    Else it raises Starlette's `HTTPException`: 401 with `WWW-Authenticate`, 403, or 503. The verifier is to
    be entered in the application's lifespan. `trusted_proxies` are networks whose `X-Forwarded-For` counts.
    """

    # The annotation is evaluated by FastAPI, which has no name but those of this module.
    async def granted(request: Request) -> Grant:
        verdict = await verifier.verify(_asked(request, trusted_proxies))
        if isinstance(verdict, Refusal):
            raise _refused(verdict)
        return verdict

    return granted


def _asked(request: Request, trusted: Sequence[Network]) -> AccessRequest:
    scope: dict[str, Any] = dict(request.scope)
    root: str = scope.get("root_path", "")
    raw: bytes = scope["raw_path"].removeprefix(root.encode()) or b"/"
    try:
        path = canonical_path(canonical_segments(raw))
    except BadPath as exc:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(exc)) from exc
    peer = None if request.client is None else request.client.host
    forwarded = request.headers.getlist("x-forwarded-for")
    return AccessRequest.of(scope, path, client_address(peer, forwarded, trusted))


def _refused(refusal: Refusal) -> HTTPException:
    headers = {} if refusal.challenge is None else {"www-authenticate": refusal.challenge}
    return HTTPException(refusal.status, HTTPStatus(refusal.status).phrase, headers)
