"""Who may read what: ways for a client to show who it is, for endpoints and for the gateway.

The names here are imported when they are asked for: signed links need nothing else, the others the libraries
of the `access` extra.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sluicegate.access.any_of import AnyOf
    from sluicegate.access.api_keys import ApiKeys, hash_key, new_key
    from sluicegate.access.base import AccessRequest, Grant, Refusal, Verdict, Verifier
    from sluicegate.access.basic import BasicUsers
    from sluicegate.access.bearer import BearerTokens
    from sluicegate.access.bearer_options import BearerOptions
    from sluicegate.access.dependency import require
    from sluicegate.access.errors import BadCredentials
    from sluicegate.access.forward import ForwardAuth
    from sluicegate.access.forward_options import ForwardOptions
    from sluicegate.access.key_sets import FileKeys, Issuer, JwksClient, JwksUrl
    from sluicegate.access.link_claims import LinkClaims
    from sluicegate.access.links import LinkOptions, SignedLinks
    from sluicegate.access.passwords import hash_password
    from sluicegate.access.revoked import RevokedLinks, revoke

_HOMES: Final = {
    "AccessRequest": "base",
    "AnyOf": "any_of",
    "ApiKeys": "api_keys",
    "BadCredentials": "errors",
    "BasicUsers": "basic",
    "BearerOptions": "bearer_options",
    "BearerTokens": "bearer",
    "FileKeys": "key_sets",
    "ForwardAuth": "forward",
    "ForwardOptions": "forward_options",
    "Grant": "base",
    "Issuer": "key_sets",
    "JwksClient": "key_sets",
    "JwksUrl": "key_sets",
    "LinkClaims": "link_claims",
    "LinkOptions": "links",
    "Refusal": "base",
    "RevokedLinks": "revoked",
    "SignedLinks": "links",
    "Verdict": "base",
    "Verifier": "base",
    "hash_key": "api_keys",
    "hash_password": "passwords",
    "new_key": "api_keys",
    "require": "dependency",
    "revoke": "revoked",
}

__all__ = [
    "AccessRequest",
    "AnyOf",
    "ApiKeys",
    "BadCredentials",
    "BasicUsers",
    "BearerOptions",
    "BearerTokens",
    "FileKeys",
    "ForwardAuth",
    "ForwardOptions",
    "Grant",
    "Issuer",
    "JwksClient",
    "JwksUrl",
    "LinkClaims",
    "LinkOptions",
    "Refusal",
    "RevokedLinks",
    "SignedLinks",
    "Verdict",
    "Verifier",
    "hash_key",
    "hash_password",
    "new_key",
    "require",
    "revoke",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
