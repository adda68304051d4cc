"""An OpenID provider on loopback: discovery, keys that rotate, signed tokens; slow, broken or gone at will.

Tokens are made by joserfc, so that they are not checked by the library that made them.
"""

import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Literal

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from .process import free_port

WAIT_SECONDS = 20.0
"""How long a test waits for requests to come, and a held answer to be released."""

DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/keys"

KeyType = Literal["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]
Key = RSAKey | ECKey | OKPKey

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_names = count(1)


class Signer:
    """A private key of a provider, with its name and its algorithm."""

    def __init__(self, algorithm: KeyType, kid: str | None = None) -> None:
        self.algorithm = algorithm
        self.kid = kid or f"key-{next(_names)}"
        self.key = _generate(algorithm)

    def public(self) -> dict[str, Any]:
        """The key as it stands in a key set."""
        described = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        return {**self.key.as_dict(private=False), **described}

    def pem(self, *, private: bool = False) -> bytes:
        """The key as a PEM file."""
        return self.key.as_pem(private=private)

    def sign(self, payload: bytes, header: dict[str, Any]) -> str:
        """A signed text, whatever is in it."""
        # Members of a header that joserfc does not know are what some tests are about.
        registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
        with warnings.catch_warnings():
            # RFC 9864 deprecates the name EdDSA, which providers use all the same.
            warnings.simplefilter("ignore", SecurityWarning)
            return jws.serialize_compact(header, payload, self.key, registry=registry)


class OidcProvider:
    """A provider at `url`, which is its issuer as well; `requests` are the paths that it was asked for."""

    def __init__(self, algorithm: KeyType, audience: str) -> None:
        self.port = free_port()
        self.audience = audience
        self.signers = [Signer(algorithm)]
        self.requests: list[str] = []
        self.extra_keys: list[object] = []
        self.issuer = self.url
        self.jwks_uri = f"{self.url}{KEYS_PATH}"
        self._answer: tuple[int, bytes, dict[str, str]] | None = None
        self._asked = threading.Condition()
        self._released = threading.Event()
        self._released.set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def signer(self) -> Signer:
        """The key that signs now."""
        return self.signers[-1]

    def key_requests(self) -> int:
        """How often the key set was asked for."""
        return self.requests.count(KEYS_PATH)

    def claims(self, **claims: object) -> dict[str, object]:
        """The claims of a good token, changed by `claims`; `None` leaves one out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": self.audience, "sub": "alice", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**good, **claims}.items() if value is not None}

    def header(self, **members: object) -> dict[str, Any]:
        """The header of a good token, changed by `members`; `None` leaves one out."""
        good = {"alg": self.signer.algorithm, "kid": self.signer.kid, "typ": "JWT"}
        return {name: value for name, value in {**good, **members}.items() if value is not None}

    def token(
        self, *, header: dict[str, Any] | None = None, signer: Signer | None = None, **claims: object
    ) -> str:
        """A token of the key that signs now, or of `signer`."""
        payload = json.dumps(self.claims(**claims)).encode()
        return (signer or self.signer).sign(payload, header or self.header())

    def rotate(self, *, keep: bool = True) -> None:
        """Sign with a new key from now on; the old ones stay published, or are dropped."""
        new = Signer(self.signer.algorithm)
        self.signers = [*(self.signers if keep else ()), new]

    def answer(self, status: int = 200, content: bytes = b"", **fields: str) -> None:
        """Answer every request for keys so from now on."""
        self._answer = status, content, fields

    def recover(self) -> None:
        """Answer with the keys again."""
        self._answer = None

    def hold(self) -> None:
        """Answer nothing until `release`."""
        self._released.clear()

    def release(self) -> None:
        """Answer what was held."""
        self._released.set()

    def wait_until_asked(self, times: int = 1) -> None:
        """Wait until keys were asked for so often."""
        with self._asked:
            assert self._asked.wait_for(lambda: self.key_requests() >= times, WAIT_SECONDS)

    def start(self) -> None:
        """Listen, on the same port each time."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), name="oidc", daemon=True).start()

    def stop(self) -> None:
        """Be gone: connections are refused."""
        if self._server is not None:
            self.release()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        with self._asked:
            self.requests.append(path)
            self._asked.notify_all()
        self._released.wait(WAIT_SECONDS)
        status, content, fields = self._content(path)
        with suppress(OSError):
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **fields}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)

    def _content(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        if path == DISCOVERY_PATH:
            document = {"issuer": self.issuer, "jwks_uri": self.jwks_uri}
            return 200, json.dumps(document).encode(), {"Content-Type": "application/json"}
        if path == KEYS_PATH:
            return self._answer or (200, self.key_set(), {"Content-Type": "application/jwk-set+json"})
        return 404, b"", {}

    def key_set(self) -> bytes:
        """The published keys."""
        return json.dumps({"keys": [signer.public() for signer in self.signers] + self.extra_keys}).encode()


@contextmanager
def oidc_provider(algorithm: KeyType = "ES256", audience: str = "files") -> Iterator[OidcProvider]:
    """Run a provider that signs with `algorithm`, for `audience`."""
    provider = OidcProvider(algorithm, audience)
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


def _generate(algorithm: KeyType) -> Key:
    match algorithm:
        case "RS256" | "PS256":
            return _rsa_key(next(_turns) % RSA_KEYS)
        case "EdDSA":
            return OKPKey.generate_key("Ed25519")
        case _:
            return ECKey.generate_key(_CURVES[algorithm])


RSA_KEYS = 2
"""So many RSA keys are made, and taken in turn: one costs a tenth of a second."""

_turns = count()


@cache
def _rsa_key(turn: int) -> RSAKey:
    return RSAKey.generate_key(2048)
