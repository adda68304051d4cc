"""From checked settings to what checks clients: one verifier for each `[auth.NAME]`."""

from functools import partial
from pathlib import Path

from sluicegate.access.api_keys import ApiKeys
from sluicegate.access.base import Verifier
from sluicegate.access.errors import BadCredentials
from sluicegate.access.links import CountUse, SignedLinks
from sluicegate.access.revoked import RevokedLinks
from sluicegate.trust import client_context

from .values import ApiKeyAuth, AuthConfig, BasicAuth, ForwardAuthConfig, JwtAuth, SignedAuth


def verifier_of(auth: AuthConfig, count_use: CountUse | None = None) -> Verifier:
    """Return what checks clients as `auth` says; raises `SluicegateError` for what cannot be used.

    `count_use` counts the uses of signed links.
    """
    match auth:
        case SignedAuth():
            return links_of(auth, count_use)
        case JwtAuth():
            return _bearer(auth)
        case ApiKeyAuth():
            return ApiKeys(auth.keys, auth.realm, header=auth.header, parameter=auth.parameter)
        case BasicAuth():
            return _basic(auth)
        case ForwardAuthConfig():
            return _forward(auth)


def links_of(auth: SignedAuth, count_use: CountUse | None = None) -> SignedLinks:
    """Return what makes and checks links; without `count_use` those with a number of uses are refused."""
    revoked = None if auth.revoked_file is None else RevokedLinks(Path(auth.revoked_file))
    prefix = None if count_use is None else partial(_use_of, auth.name, count_use)
    return SignedLinks(auth.keys, auth.options, is_revoked=revoked, count_use=prefix)


async def _use_of(name: str, count_use: CountUse, link_id: str, most: int, seconds: int) -> bool | None:
    return await count_use(f"{name}:{link_id}", most, seconds)


# The libraries of these take longer to import than all of the gateway: who needs none of them does not wait.


def _bearer(auth: JwtAuth) -> Verifier:
    from sluicegate.access.bearer import BearerTokens  # noqa: PLC0415
    from sluicegate.access.key_sets import FileKeys, Issuer, JwksClient, JwksUrl  # noqa: PLC0415

    if auth.key_file is not None:
        return BearerTokens(auth.options, FileKeys(Path(auth.key_file)))
    place = Issuer(auth.options.issuer) if auth.jwks_url is None else JwksUrl(auth.jwks_url)
    return BearerTokens(auth.options, JwksClient(place, tls=client_context(auth.tls_verify, BadCredentials)))


def _basic(auth: BasicAuth) -> Verifier:
    from sluicegate.access.basic import BasicUsers  # noqa: PLC0415

    return BasicUsers(auth.users, auth.realm)


def _forward(auth: ForwardAuthConfig) -> Verifier:
    from sluicegate.access.forward import ForwardAuth  # noqa: PLC0415

    return ForwardAuth(auth.options)
