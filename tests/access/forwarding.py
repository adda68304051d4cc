"""A service that is asked, and requests that it is asked about."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from sluicegate.access.base import AccessRequest, Address, Refusal, Verdict
from sluicegate.access.forward import ForwardAuth, ForwardOptions
from tests.access.clock import Clock
from tests.sources.raw_origin import CLOSE, Answer, RawOrigin, answer, raw_origin

FIELDS: Mapping[str, Any] = {
    "subject_field": "X-User",
    "key_field": "X-Key",
    "claim_fields": {"team": "X-Team", "plan": "X-Plan"},
}

YES: Answer = (answer("200 OK"),)
NO: Answer = (answer("403 Forbidden"),)
LOGIN: Answer = (answer("401 Unauthorized", www_authenticate='Digest realm="x", qop="auth"'),)
BROKEN: Answer = (answer("500 Internal Server Error", b"secret of the service"),)
GARBAGE: Answer = (b"secret of the service\r\n\r\n", CLOSE)

TOKEN = (b"authorization", b"Bearer abc")
CLIENT = ip_address("192.0.2.7")


def asked(
    *fields: tuple[bytes, bytes],
    method: str = "GET",
    path: str = "/photos/a%20b.jpg",
    query: str = "",
    client: Address | None = CLIENT,
) -> AccessRequest:
    return AccessRequest(method, path, query, fields, client)


def forward(origin: RawOrigin, **options: Any) -> ForwardAuth:
    clock = options.pop("clock", Clock())
    return ForwardAuth(ForwardOptions(url=f"{origin.url}/verify?route=1", **options), clock=clock)


async def verdict(given: Answer, request: AccessRequest | None = None, **options: Any) -> Verdict:
    async with raw_origin(given) as origin, forward(origin, **options) as auth:
        seen = await auth.verify(request or asked(TOKEN))
        assert len(origin.requests) == 1
    return seen


def reason(seen: Verdict) -> str:
    """Why nothing is known: what a refusal with 503 says behind the address of the service."""
    assert isinstance(seen, Refusal)
    assert (seen.status, seen.challenge, seen.absent) == (503, None, False)
    address, _, words = seen.reason.partition("/verify ")
    assert address.startswith("http")
    return words
