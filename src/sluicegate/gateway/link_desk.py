"""Making and revoking signed links on behalf of who asks at the admin address, or at the command line."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from sluicegate import SluicegateError
from sluicegate.access.link_claims import LinkClaims, new_link_id
from sluicegate.access.links import SignedLinks
from sluicegate.access.revoked import revoke
from sluicegate.http.paths import canonical_path, canonical_segments

from .config import Config
from .config.values import SignedAuth
from .config.verifiers import links_of
from .routes import Match, Router

_CLAIMS = frozenset(field.name for field in fields(LinkClaims)) - {"prefix"}
_KEYS = _CLAIMS | {"path", "expires_in", "is_prefix", "revocable", "auth"}


class CannotSign(SluicegateError, ValueError):
    """What was asked for is no link, or there is nothing to make it with; the message says what is."""


def signed_auth(config: Config, name: str | None) -> SignedAuth:
    """The signed links of this name, or the only ones; raises `CannotSign`."""
    found = {auth.name: auth for auth in config.auth.values() if isinstance(auth, SignedAuth)}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise CannotSign(f"auth: found {name!r}; expected an [auth.NAME] of type signed: {known}")
    return found[name]


def signed_link(config: Config, asked: Mapping[str, object]) -> dict[str, object]:
    """Make the link that `asked` describes: `path`, `expires_in` (seconds), and what `LinkClaims` has.

    `is_prefix` allows everything below the path; `revocable` gives it an id. Raises `CannotSign`, and
    `BadCredentials` for what cannot be signed.
    """
    if unknown := sorted(set(asked) - _KEYS):
        raise CannotSign(f"{unknown[0]!r}: not known; expected one of: {', '.join(sorted(_KEYS))}")
    path, seconds = asked.get("path"), asked.get("expires_in")
    if not isinstance(path, str) or not path.startswith("/"):
        raise CannotSign(f"path: found {path!r}; expected a path such as '/files/a.jpg', percent-encoded")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise CannotSign(f"expires_in: found {seconds!r}; expected a number of seconds")
    claims = _claims(asked, path)
    links: SignedLinks = links_of(signed_auth(config, text_in(asked, "auth")))
    # What is no path at all, `link` refuses.
    with suppress(ValueError):
        path = path if claims.prefix else plain_path(config, path)
    link = links.link(path, seconds, claims)
    return {"link": link, **({} if claims.id is None else {"id": claims.id})}


def plain_path(config: Config, path: str) -> str:
    """A path as its route spells it, which is what the gateway checks a link against.

    One that no route has stays as it is. Raises `ValueError` for what is no path.
    """
    segments = canonical_segments(path.encode())
    match = Router(route.path for route in config.routes).find(segments)
    return canonical_path(match.segments if isinstance(match, Match) else segments)


def revoke_link(config: Config, link_id: str, name: str | None = None) -> str:
    """Add an id to the file of revoked links, and return where that is; raises `CannotSign`."""
    auth = signed_auth(config, name)
    if auth.revoked_file is None:
        raise CannotSign(f"auth.{auth.name}.revoked_file: nothing; it is needed to revoke links")
    revoke(Path(auth.revoked_file), link_id)
    return auth.revoked_file


def _claims(asked: Mapping[str, object], path: str) -> LinkClaims:
    given: dict[str, Any] = {name: asked[name] for name in _CLAIMS & asked.keys()}
    if given.get("id") is None and (asked.get("revocable") or given.get("uses") is not None):
        given["id"] = new_link_id()
    try:
        return LinkClaims(prefix=path if asked.get("is_prefix") else None, **given)
    except (TypeError, AttributeError, UnicodeError) as exc:
        raise CannotSign(f"a claim of another type than it must have: {', '.join(sorted(given))}") from exc


def text_in(asked: Mapping[str, object], name: str) -> str | None:
    """The text of this name, if there is one; raises `CannotSign` for anything else."""
    value = asked.get(name)
    if value is not None and not isinstance(value, str):
        raise CannotSign(f"{name}: found {value!r}; expected text")
    return value
