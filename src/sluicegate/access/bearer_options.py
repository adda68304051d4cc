"""What a token must be to be believed, and where it may stand: settings, without what checks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.access.base import NO_CLAIMS, is_cookie_name, is_parameter_name
from sluicegate.errors import SluicegateError

ALGORITHMS: Final = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    }
)
"""Every algorithm that a token may be signed with: asymmetric ones, whose keys are no secret here."""

MAX_LEEWAY_SECONDS: Final = 300.0
"""RFC 7519, section 4.1.4: leeway is "usually no more than a few minutes"."""

# What needs no quoting in a challenge.
_REALM = re.compile(r"[ !#-\[\]-~]*")


class BadBearerOptions(SluicegateError, ValueError):
    """An option for tokens that cannot be used; the message says what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerOptions:
    """What a token must be, and where in a request it may stand. Raises `BadBearerOptions`.

    - `issuer`: the token's `iss`, exactly.
    - `audience`: one of these must be in the token's `aud`.
    - `algorithms`: those allowed, of `ALGORITHMS`.
    - `leeway_seconds`: how far the clocks of issuer and server may be apart.
    - `required_claims`: a claim's name and the text that it must be, or must hold if it is a list; of a
      `scope`, all words of the text.
    - `cookie`, `parameter`: the names of a cookie and of a query parameter that may hold the token as well.
    - `realm`: what the client is told that it needs a token for.
    """

    issuer: str
    audience: tuple[str, ...]
    algorithms: tuple[str, ...]
    leeway_seconds: float = 30.0
    required_claims: Mapping[str, str] = field(default_factory=lambda: NO_CLAIMS)
    cookie: str | None = None
    parameter: str | None = None
    realm: str = "sluicegate"

    def __post_init__(self) -> None:
        _check_algorithms(self.algorithms)
        if not self.issuer:
            raise BadBearerOptions("issuer: a text is needed, as it stands in the token's iss")
        if isinstance(self.audience, str) or not self.audience or not all(self.audience):
            raise BadBearerOptions(f"audience: {self.audience!r} is not one or more texts")
        if not 0 <= self.leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise BadBearerOptions(
                f"leeway_seconds: {self.leeway_seconds!r} is not from 0 to {MAX_LEEWAY_SECONDS:g}"
            )
        for name, text in self.required_claims.items():
            # Nothing would have to be in a scope to hold all words of an empty text.
            if not name or not text.strip():
                raise BadBearerOptions(f"required_claims: {name!r} = {text!r} must have a name and a text")
        _check_name("cookie", self.cookie, is_cookie_name)
        _check_name("parameter", self.parameter, is_parameter_name)
        _check_name("realm", self.realm, lambda text: _REALM.fullmatch(text) is not None)


def _check_algorithms(algorithms: tuple[str, ...]) -> None:
    allowed = ", ".join(sorted(ALGORITHMS))
    if isinstance(algorithms, str) or not algorithms:
        raise BadBearerOptions(f"algorithms: {algorithms!r} must name one or more of {allowed}")
    for algorithm in algorithms:
        if algorithm not in ALGORITHMS:
            raise BadBearerOptions(
                f"algorithms: {algorithm!r} is not one of {allowed}; with 'none' anybody could make a token, "
                "and with HS* whoever may check one"
            )


def _check_name(option: str, name: str | None, fits: Callable[[str], bool]) -> None:
    if name is not None and not fits(name):
        raise BadBearerOptions(f"{option}: {name!r} must be printable ASCII without quotes and separators")
