"""Public keys that check tokens (RFC 7517), and which token each of them may have signed. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from sluicegate.errors import SluicegateError

MAX_KEYS: Final = 100

MAX_CANDIDATES: Final = 4
"""How many keys one token is tried with: each costs a signature check, for whoever sends rubbish."""

MAX_MEMBER_CHARS: Final = 1400
"""The longest member of a key in base64url: 8,192 bits of RSA."""

MIN_RSA_BITS: Final = 2048
"""RFC 7518, section 3.3: "A key of size 2048 bits or larger MUST be used"."""

RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
# RFC 7518, section 3.4: each algorithm has its own curve.
CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
EDWARDS_ALGORITHMS: Final = frozenset({"EdDSA"})

KEY_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y")
"""What public keys are made of (RFC 7518, section 6; RFC 8037, section 2)."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey


class BadKeys(SluicegateError, ValueError):
    """A place of keys, or what was found there, that cannot be used; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, its name if it has one, and the algorithms that it is for."""

    public: PublicKey
    kid: str | None
    algorithms: frozenset[str]


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one signer; where they change, the `generation` does."""

    keys: tuple[VerificationKey, ...]
    generation: int = 0

    def knows(self, kid: str | None) -> bool:
        """Whether a key of this name is here; a token that names none asks for none."""
        return kid is None or any(key.kid == kid for key in self.keys)

    def fitting(self, algorithm: str, kid: str | None) -> tuple[VerificationKey, ...]:
        """The keys that may have signed so, `MAX_CANDIDATES` at most.

        A name that no key has leaves the keys without any, as a PEM file holds one.
        """
        named = [key for key in self.keys if kid is None or key.kid == kid]
        candidates = named or [key for key in self.keys if key.kid is None]
        return tuple(key for key in candidates if algorithm in key.algorithms)[:MAX_CANDIDATES]


def parse_key_set(content: bytes) -> tuple[VerificationKey, ...]:
    """The keys of a key set (RFC 7517, section 5) that can check signatures; the others are passed over.

    Raises `BadKeys` for what is no key set, or one of more than `MAX_KEYS`.
    """
    keys = parse_object(content, "the key set").get("keys")
    if not isinstance(keys, list):
        raise BadKeys("the key set has no list of keys")
    if len(keys) > MAX_KEYS:
        raise BadKeys(f"the key set has {len(keys)} keys, and at most {MAX_KEYS} are allowed")
    parsed = [_parse_key(key) for key in keys if isinstance(key, dict)]
    return tuple(key for key in parsed if key is not None)


def parse_pem(content: bytes) -> VerificationKey:
    """The one public key in a PEM file. Raises `BadKeys` for anything else."""
    if content.count(b"-----BEGIN ") != 1:
        raise BadKeys("there is more than one block in the PEM file, and one public key is allowed")
    try:
        public = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise BadKeys("there is no public key (-----BEGIN PUBLIC KEY-----) in the PEM file") from exc
    if not isinstance(public, PublicKey) or not (algorithms := _algorithms(public)):
        raise BadKeys(
            "the public key in the PEM file is not RSA of 2048 bits, P-256, P-384, P-521 or Ed25519"
        )
    return VerificationKey(public, None, algorithms)


def parse_object(content: bytes, what: str) -> Mapping[str, object]:
    """A JSON object; raises `BadKeys` for anything else. `what` is what it is called."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise BadKeys(f"{what} is no JSON") from exc
    if not isinstance(parsed, dict):
        raise BadKeys(f"{what} is no JSON object")
    return parsed


def _parse_key(jwk: Mapping[str, object]) -> VerificationKey | None:
    """A key of a set; `None` if it is not for signatures, too weak, not understood, or not public."""
    kid, operations = jwk.get("kid"), jwk.get("key_ops", ["verify"])
    # A private key that is published is anybody's: what it signed shows nothing.
    if "d" in jwk or jwk.get("use", "sig") != "sig" or not isinstance(kid, str | None):
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    public = _public_key({name: jwk[name] for name in KEY_MEMBERS if name in jwk})
    if public is None:
        return None
    algorithms = frozenset(name for name in _algorithms(public) if name == jwk.get("alg", name))
    return VerificationKey(public, kid, algorithms) if algorithms else None


def _public_key(members: dict[str, object]) -> PublicKey | None:
    if not all(isinstance(value, str) and len(value) <= MAX_MEMBER_CHARS for value in members.values()):
        return None
    readers = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
    reader = readers.get(str(members.get("kty")))
    try:
        public = None if reader is None else reader(members)
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return public if isinstance(public, PublicKey) else None


def _algorithms(public: PublicKey) -> frozenset[str]:
    """What a key of this type can have signed; nothing, if it is too weak or of another curve."""
    match public:
        case RSAPublicKey():
            return RSA_ALGORITHMS if public.key_size >= MIN_RSA_BITS else frozenset()
        case EllipticCurvePublicKey():
            return frozenset({CURVES[public.curve.name]} if public.curve.name in CURVES else ())
        case _:
            return EDWARDS_ALGORITHMS
