"""From the tables of limits to checked ones: what is left out has its default, and 0 is no limit."""

from collections.abc import Callable

from sluicegate.access.rates import Rates
from sluicegate.errors import SluicegateError
from sluicegate.http.ranges import MAX_RANGES

from .errors import Report
from .tables import LimitsTable, ServerLimitsTable
from .values import LimitsConfig, ServerLimitsConfig

SMALLEST_HEAD = 1024
"""Bytes of a request's head or target: with less, nobody could ask for anything."""

_SMALLEST = {"max_head": SMALLEST_HEAD, "max_url": SMALLEST_HEAD, "max_fields": 10}


def build_limits(table: LimitsTable | None) -> LimitsConfig:
    """Return the limits of a route."""
    return LimitsConfig() if table is None else LimitsConfig(**table.model_dump(exclude_none=True))


def build_server_limits(table: ServerLimitsTable, report: Report) -> ServerLimitsConfig:
    """Return the limits of the gateway."""
    settings = table.model_dump(exclude_none=True)
    for key, smallest in _SMALLEST.items():
        if settings.get(key, smallest) < smallest:
            report.add_value(("limits", key), settings[key], f"at least {smallest}")
    if not 1 <= settings.get("max_ranges", 1) <= MAX_RANGES:
        report.add_value(("limits", "max_ranges"), settings["max_ranges"], f"a number from 1 to {MAX_RANGES}")
    _check_counting("storage", table.storage, Rates, report)
    _check_counting("namespace", table.namespace, lambda name: Rates(namespace=name), report)
    return ServerLimitsConfig(**settings)


def _check_counting(key: str, value: str | None, counting: Callable[[str], Rates], report: Report) -> None:
    if value is None:
        return
    try:
        # Made to be checked: what it cannot use, it says.
        counting(value)
    except SluicegateError as exc:
        report.add_reason(("limits", key), str(exc))
