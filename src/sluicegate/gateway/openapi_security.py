"""How clients show who they are, as OpenAPI says it: the security schemes of each `[auth.NAME]`. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .config.values import (
    ApiKeyAuth,
    AuthConfig,
    BasicAuth,
    ForwardAuthConfig,
    JwtAuth,
    RouteConfig,
    SignedAuth,
)

Scheme = Mapping[str, str]

_WORDS: Final[Mapping[type[AuthConfig], str]] = {
    SignedAuth: "The token of a signed link.",
    JwtAuth: "A token of the identity provider.",
    ApiKeyAuth: "An API key.",
    BasicAuth: "User name and password.",
    ForwardAuthConfig: "Passed on to the service that decides.",
}


def security_schemes(auths: Iterable[AuthConfig]) -> dict[str, Scheme]:
    """Return what `components.securitySchemes` says: a scheme for each place where credentials may stand.

    The first place of an `[auth.NAME]` has its name, and further ones are `NAME.2` and so on: a name in the
    file has no dot.
    """
    return {name: scheme for auth in auths for name, scheme in _named(auth).items()}


def security_requirements(
    routes: Sequence[RouteConfig], auths: Mapping[str, AuthConfig]
) -> list[dict[str, list[str]]]:
    """Return the `security` of an operation that these routes share: any of its entries is enough.

    Without any there is nothing to say, and the list is empty.
    """
    names = dict.fromkeys(scheme for route in routes for name in route.auth for scheme in _named(auths[name]))
    if not names:
        return []
    # OpenAPI 3.0.3, Operation Object: "To make security optional, an empty security requirement ({}) can be
    # included in the array." A service that is asked may grant what shows nothing.
    is_optional = any(_asks_nothing(route, auths) for route in routes)
    return [*({name: list[str]()} for name in names), *([{}] if is_optional else [])]


def can_challenge(route: RouteConfig, auths: Mapping[str, AuthConfig]) -> bool:
    """Whether 401 may be the answer: a link is no credential that could be asked for."""
    return any(not isinstance(auths[name], SignedAuth) for name in route.auth)


def can_forbid(route: RouteConfig, auths: Mapping[str, AuthConfig]) -> bool:
    """Whether 403 may be the answer to what a client has shown, or not shown."""
    return any(_forbids(auths[name]) for name in route.auth)


def can_be_away(route: RouteConfig, auths: Mapping[str, AuthConfig]) -> bool:
    """Whether there may be nobody to ask: keys that are not at hand, a service that is away, a full queue."""
    return any(not isinstance(auths[name], ApiKeyAuth) for name in route.auth)


def _forbids(auth: AuthConfig) -> bool:
    match auth:
        case SignedAuth() | ForwardAuthConfig():
            return True
        case JwtAuth(options=options):
            return bool(options.required_claims)
        case ApiKeyAuth() | BasicAuth():
            return False


def _asks_nothing(route: RouteConfig, auths: Mapping[str, AuthConfig]) -> bool:
    return not route.auth or any(isinstance(auths[name], ForwardAuthConfig) for name in route.auth)


def _named(auth: AuthConfig) -> dict[str, Scheme]:
    return {
        auth.name if number == 1 else f"{auth.name}.{number}": {**scheme, "description": _WORDS[type(auth)]}
        for number, scheme in enumerate(_places(auth), 1)
    }


def _places(auth: AuthConfig) -> list[Scheme]:
    match auth:
        case SignedAuth(options=link):
            return [_value("query", link.parameter), _value("cookie", link.cookie)]
        case JwtAuth(options=token):
            bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            return [bearer, *_values("cookie", token.cookie), *_values("query", token.parameter)]
        case ApiKeyAuth(header=header, parameter=parameter):
            return [_value("header", header), *_values("query", parameter)]
        case BasicAuth():
            return [{"type": "http", "scheme": "basic"}]
        case ForwardAuthConfig(options=forward):
            return [_value("header", name) for name in forward.forward_fields]


def _value(place: str, name: str) -> Scheme:
    return {"type": "apiKey", "in": place, "name": name}


def _values(place: str, name: str | None) -> list[Scheme]:
    return [] if name is None else [_value(place, name)]
