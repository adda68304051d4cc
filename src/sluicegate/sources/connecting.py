"""Looks up the hosts that aiohttp connects to, and gives it those addresses alone that the policy allows.

What is looked up here is what is connected to: there is no second look-up in which a name server could say
something else.
"""

from __future__ import annotations

import socket

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from sluicegate.errors import BadAnswer, SourceError, Unavailable
from sluicegate.sources.redirects import NOT_PUBLIC, Policy, shown_addresses


class GuardedResolver(AbstractResolver):
    """What `resolver` answers (by default the system), but for the addresses that `policy` does not allow.

    Made in the event loop that it serves. Closing it closes the resolver only if it was made here.
    """

    def __init__(self, policy: Policy, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver or DefaultResolver()
        self._owned = resolver is None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host` that may be connected to; raises a `SourceError` if it has only others."""
        answers = await self._resolver.resolve(host, port, family)
        if not answers:
            raise OSError(f"{host!r} has no address")
        if self._policy.is_trusted(host, port):
            return answers
        allowed = [answer for answer in answers if self._policy.allows(answer["host"])]
        if not allowed:
            raise self._refusal(host, port, answers)
        return allowed

    async def close(self) -> None:
        """Close what was made here."""
        if self._owned:
            await self._resolver.close()

    def _refusal(self, host: str, port: int, answers: list[ResolveResult]) -> SourceError:
        found = shown_addresses(answer["host"] for answer in answers)
        own = self._policy.own
        if (host, port) == (own.host, own.port):
            return Unavailable(f"{own} resolves to {found}, and public_only is set: {NOT_PUBLIC}")
        return BadAnswer(f"redirect to {host}:{port}, which resolves to {found}: {NOT_PUBLIC}")
