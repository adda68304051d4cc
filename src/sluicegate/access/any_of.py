"""Several ways to show who one is: the first that grants decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

from sluicegate.access.base import AccessRequest, Grant, Refusal, Verdict, Verifier
from sluicegate.access.errors import check_mapping

_MOST_TELLING: Final = (503, 400, 403, 401)
"""Statuses of refusals, the one first that says most of what the client could do."""


class AnyOf:
    """Grants what one of `verifiers` (by name) grants, asked in their order.

    Where all refuse, those count which found something of their kind in the request; the names go into the
    reason. Without any verifier nothing is granted.
    """

    def __init__(self, verifiers: Mapping[str, Verifier]) -> None:
        check_mapping("verifiers", verifiers, "{'links': links, 'keys': keys}")
        self._verifiers = tuple(verifiers.items())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open all of them."""
        async with AsyncExitStack() as stack:
            for _, verifier in self._verifiers:
                await stack.enter_async_context(verifier)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close all of them."""
        await self._stack.aclose()

    async def verify(self, request: AccessRequest) -> Verdict:
        """Ask one after another."""
        refusals: list[tuple[str, Refusal]] = []
        for name, verifier in self._verifiers:
            verdict = await verifier.verify(request)
            if isinstance(verdict, Grant):
                return verdict
            refusals.append((name, verdict))
        return combined(refusals)


def combined(refusals: Sequence[tuple[str, Refusal]]) -> Refusal:
    """One refusal for several, by the names of those who gave them."""
    telling = [one for one in refusals if not one[1].absent] or list(refusals)
    reason = "; ".join(f"{name}: {refusal.reason}" for name, refusal in telling)
    challenges = [refusal.challenge for _, refusal in refusals if refusal.challenge is not None]
    found = {refusal.status for _, refusal in telling}
    status = next((status for status in _MOST_TELLING if status in found), 403)
    if status == 403 and challenges and all(refusal.absent for _, refusal in refusals):
        # Nothing was shown, and there is something to show: RFC 9110, section 15.5.2.
        status = 401
    if status == 401 and not challenges:
        # Section 15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header field".
        status = 403
    return Refusal(
        reason=reason or "nothing grants access here",
        status=status,
        challenge=", ".join(challenges if status == 401 else _own(telling, status)) or None,
        absent=all(refusal.absent for _, refusal in refusals),
    )


def _own(refusals: Sequence[tuple[str, Refusal]], status: int) -> list[str]:
    """What those say who refused with this status."""
    return [one.challenge for _, one in refusals if one.status == status and one.challenge is not None]
