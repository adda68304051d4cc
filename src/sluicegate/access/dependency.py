"""Verifiers as dependencies of FastAPI's path operations."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from sluicegate.access.base import UNVERIFIED_RETRY_SECONDS, AccessRequest, Grant, Refusal, Verifier
from sluicegate.http.addresses import Network, client_address
from sluicegate.http.fields import GUARDED
from sluicegate.http.paths import BadPath, below_mount, canonical_path, canonical_segments

logger = logging.getLogger("sluicegate")


def require(
    verifier: Verifier, *, trusted_proxies: Sequence[Network] = ()
) -> Callable[[Request], Awaitable[Grant]]:
    """Return a dependency that lets a request pass if `verifier` grants it; its value is the `Grant`.

    Else it raises Starlette's `HTTPException`: 400 for a path that is none, 401 with `WWW-Authenticate`, 403,
    or 503 with `Retry-After`; the reason is logged. OPTIONS passes, for browsers send it without credentials,
    and its grant says nothing. The verifier is to be entered in the application's lifespan, and the path that
    it sees is the one below where the application is mounted. `trusted_proxies` are networks whose
    `X-Forwarded-For` counts. The `filename` and the `cookie` of the grant are for the operation to send.

    Where an `ObjectResponse` or a `StreamResponse` answers, its `Cache-Control` is then `private, no-cache`,
    unless the response was given one: that of the object was not said for those who have to be let in.
    """

    # The annotation is evaluated by FastAPI, which has no name but those of this module.
    async def granted(request: Request) -> Grant:
        asked = _asked(request, trusted_proxies)
        if request.method == "OPTIONS":
            return Grant()
        verdict = await verifier.verify(asked)
        if isinstance(verdict, Refusal):
            raise _refused(verdict)
        request.scope[GUARDED] = True
        return verdict

    return granted


def _asked(request: Request, trusted: Sequence[Network]) -> AccessRequest:
    try:
        path = _path(request.scope)
    except BadPath as exc:
        raise HTTPException(HTTPStatus.BAD_REQUEST, exc.reason) from exc
    peer = None if request.client is None else request.client.host
    forwarded = request.headers.getlist("x-forwarded-for")
    return AccessRequest.of(request.scope, path, client_address(peer, forwarded, trusted))


def _path(scope: Mapping[str, Any]) -> str:
    """The canonical path below where the application is mounted, as Starlette has routed it.

    That is by `path`, where `%2F` is a slash like any other: an operation is given `a/b` for `a%2Fb`, and so
    this is what is judged. Raises `BadPath`, also for a `path` that is not the client's: a middleware may
    have changed it.
    """
    routed: str = scope["path"]
    # ASGI, "HTTP connection scope": `raw_path` is optional.
    raw: bytes = scope.get("raw_path") or quote(routed, errors="replace").encode()
    segments = canonical_segments(raw)
    if "/".join(("", *segments)) != routed:
        raise BadPath("the path is not the one that the request was routed by")
    root: str = scope.get("root_path", "")
    if not root or not f"{routed}/".startswith(f"{root}/"):
        return canonical_path(_plain(segments))
    mounts = tuple(root.split("/")[1:])
    if segments[: len(mounts)] != mounts:
        raise BadPath("a '/' in the path of the application must not be percent-encoded")
    return canonical_path(_plain(below_mount(segments, root)))


def _plain(segments: Sequence[str]) -> tuple[str, ...]:
    return tuple("/".join(segments).split("/"))


def _refused(refusal: Refusal) -> HTTPException:
    logger.info("access refused: %s", refusal.reason)
    status, fields = refusal.status, {}
    if refusal.challenge is not None:
        fields["www-authenticate"] = refusal.challenge
    elif status == HTTPStatus.UNAUTHORIZED:
        # RFC 9110, section 15.5.2: a 401 must have a challenge.
        status = HTTPStatus.FORBIDDEN
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        fields["retry-after"] = str(UNVERIFIED_RETRY_SECONDS)
    return HTTPException(status, headers=fields or None)
