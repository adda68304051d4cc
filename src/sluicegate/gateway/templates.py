"""Templates of routes: literal segments and typed parameters, pure.

`RouteTemplate.parse` checks everything that can be known of one template alone.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from sluicegate.http.paths import has_control, has_dot_piece

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class TemplateError(ValueError):
    """A template that cannot be used: `found` is the offending part, `allowed` what may stand there."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"found {found!r}; expected {allowed}")
        self.found = found
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class ParameterType:
    """What a path parameter may hold: `read` gives the canonical value, or None where it does not fit."""

    name: str
    allowed: str
    read: Callable[[str], str | None] = field(repr=False, compare=False)


def _read_integer(text: str) -> str | None:
    return str(int(text)) if _INTEGER.fullmatch(text) else None


def _read_uuid(text: str) -> str | None:
    return text.lower() if _UUID.fullmatch(text) else None


def _read_segment(text: str) -> str | None:
    return text if text and "/" not in text else None


def _read_rest(text: str) -> str | None:
    return text or None


INT = ParameterType("int", "an integer of at most 19 digits", _read_integer)
UUID = ParameterType("uuid", "a UUID such as 123e4567-e89b-12d3-a456-426614174000", _read_uuid)
STR = ParameterType("str", "one non-empty path segment", _read_segment)
PATH = ParameterType("path", "the rest of the path, at least one character", _read_rest)

PARAMETER_TYPES: Mapping[str, ParameterType] = {kind.name: kind for kind in (INT, UUID, STR, PATH)}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A placeholder of a route: it fills one segment, or the whole rest if its type is `path`."""

    name: str
    kind: ParameterType


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """The path of a route, such as `/tasks/{task_id:int}/image`: literal segments and parameters."""

    text: str
    segments: tuple[str | Parameter, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a route template; raises `TemplateError`.

        A placeholder is a whole segment, `{name}` or `{name:type}`, with a type of `PARAMETER_TYPES`. Literal
        segments are written decoded (`/größe`, not `/gr%C3%B6%C3%9Fe`).
        """
        if not text.startswith("/"):
            raise TemplateError(text, "a path that starts with '/'")
        template = cls(text, tuple(_route_segment(part) for part in text[1:].split("/")))
        _check_empty_segments(template)
        _check_parameters(template)
        return template

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the order of the path."""
        return tuple(segment for segment in self.segments if isinstance(segment, Parameter))

    def filled(self, values: Iterable[str]) -> tuple[str, ...]:
        """The segments of the path with these values of its parameters, in their order."""
        left = iter(values)
        path = "/".join([next(left) if isinstance(part, Parameter) else part for part in self.segments])
        # The value of a `path` parameter has slashes, which separate segments.
        return tuple(path.split("/"))

    @property
    def shape(self) -> str:
        """The template without its names; two routes of one shape match the same paths."""
        return "".join(
            f"/{{{segment.kind.name}}}" if isinstance(segment, Parameter) else f"/{segment}"
            for segment in self.segments
        )


def _route_segment(text: str) -> str | Parameter:
    if "{" in text or "}" in text:
        return _parameter(text)
    if any(char in text for char in "%?#") or has_control(text):
        raise TemplateError(
            text, "a literal segment, written decoded: no '%', '?', '#' or control characters"
        )
    if has_dot_piece(text):
        raise TemplateError(text, "a path without '.' and '..' segments")
    return text


def _parameter(text: str) -> Parameter:
    found = PLACEHOLDER.fullmatch(text)
    if found is None:
        raise TemplateError(text, "a placeholder that fills its whole segment: {name} or {name:type}")
    name, colon, kind = found[1].partition(":")
    if not NAME.fullmatch(name):
        raise TemplateError(text, "a parameter name of ASCII letters, digits and '_', such as {task_id}")
    if colon and kind not in PARAMETER_TYPES:
        raise TemplateError(text, f"a parameter type: {', '.join(PARAMETER_TYPES)}")
    return Parameter(name, PARAMETER_TYPES[kind or STR.name])


def _check_empty_segments(template: RouteTemplate) -> None:
    if "" in template.segments[:-1]:
        raise TemplateError(template.text, "a path without '//' (a single '/' at the end is allowed)")


def _check_parameters(template: RouteTemplate) -> None:
    seen: set[str] = set()
    for parameter in template.parameters:
        if parameter.name in seen:
            raise TemplateError(f"{{{parameter.name}}}", "each parameter once")
        seen.add(parameter.name)
    for segment in template.segments[:-1]:
        if isinstance(segment, Parameter) and segment.kind == PATH:
            raise TemplateError(f"{{{segment.name}:path}}", "a parameter of type path in the last position")
