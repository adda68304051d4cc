"""Which faults a request to the `FaultyOrigin` meets: rules that match and count. Nothing in here waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sluicegate.testing.faults import Fault, Ok, Reset, ResetBetween
from sluicegate.testing.origin_requests import OriginRequest

Predicate = Callable[[OriginRequest], object]
F = TypeVar("F")


class Faults:
    """The faults that one request meets, at most one of each class."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._by_class: dict[type[object], Fault] = {type(fault): fault for fault in faults}

    def get(self, kind: type[F]) -> F | None:
        """The fault of that class, if there is one."""
        found = self._by_class.get(kind)
        return found if isinstance(found, kind) else None

    def has(self, kind: type[object]) -> bool:
        """Whether there is a fault of that class."""
        return kind in self._by_class


@dataclass(slots=True)
class Rule:
    """From its match `first` on (from 1), `times` times: the next of `steps`, or the only one each time.

    `path` and `when` both have to fit; `None` fits every request.
    """

    steps: tuple[tuple[Fault, ...], ...]
    path: str | None = None
    when: Predicate | None = None
    first: int = 1
    times: int | None = None
    matched: int = 0

    def matches(self, request: OriginRequest) -> bool:
        """Whether the request is one of those that the rule is about."""
        if self.path is not None and self.path != request.path:
            return False
        return self.when is None or bool(self.when(request))

    def apply(self) -> Iterator[Fault]:
        """Count a request that matches, and give the faults that it meets."""
        number = self.matched - (self.first - 1)
        self.matched += 1
        if number < 0 or (self.times is not None and number >= self.times):
            return
        for fault in self.steps[number % len(self.steps)]:
            yield Reset(fault.offset(number)) if isinstance(fault, ResetBetween) else fault


class RuleBook:
    """The rules of an origin, in the order in which they were given."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """One more rule."""
        self._rules.append(rule)

    def forget(self, path: str | None) -> None:
        """Drop the rules for that path, or all of them."""
        self._rules = [rule for rule in self._rules if path is not None and rule.path != path]

    def faults(self, request: OriginRequest) -> Faults:
        """What this request meets; it counts with every rule that it matches."""
        matching = [rule for rule in self._rules if rule.matches(request)]
        found = [fault for rule in matching for fault in rule.apply()]
        return Faults(fault for fault in found if not isinstance(fault, Ok))
