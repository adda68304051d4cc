"""Examining another service that routes lead to: its endpoint, and an answer of it if one is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sluicegate import SluicegateError, open_http

from ..config import UpstreamConfig
from ..origins import upstream_options
from .connection import examine_endpoint
from .endpoints import Endpoint
from .findings import Finding, Findings, note, problem
from .limits import ATTEMPTS, CHECK_SECONDS, TRANSFERS
from .objects import examine_object
from .probing import Subject


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer to test with: of which upstream, at which path, which is percent-encoded."""

    target: UpstreamConfig
    path: str


async def examine_upstream(
    endpoint: Endpoint, wanted: Sequence[Wanted], read_ahead: int, seconds: float = CHECK_SECONDS
) -> Findings:
    """All that can be found of a service, by the answers that are `wanted` of it.

    Each check may take `seconds`.
    """
    found, reached = await examine_endpoint(endpoint, signed=False, seconds=seconds)
    if not reached:
        return found
    if not wanted:
        told = note(
            "no answer of it was looked at", "name a path that leads to it: --request /tasks/1/bytes/10"
        )
        return (*found, told)
    for one in wanted:
        found += await _examine_answer(one, read_ahead, seconds)
    return found


async def _examine_answer(wanted: Wanted, read_ahead: int, seconds: float) -> Findings:
    target = wanted.target
    tested: Finding = note(f"tested with {target.template.base_url}/{wanted.path}")
    try:
        options = replace(upstream_options(target), attempts=ATTEMPTS)
        async with open_http(target.template.base_url, options, transfers=TRANSFERS) as source:
            subject = Subject(source, wanted.path, target.template.query)
            return (tested, *await examine_object(subject, read_ahead, seconds))
    except SluicegateError as exc:
        return (tested, problem(f"it cannot be opened: {exc}", "mend that setting of the route"))
