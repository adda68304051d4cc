"""Routing: the route that a raw request path belongs to, and the values of its parameters. Pure.

The templates are kept as a tree of segments. At each segment the most specific kind is tried first: a
literal, then `int` and `uuid` (which never both fit), then `str`, then `path`; the first whole match wins.
The order in which the routes are given has no part in it, and no regular expression could backtrack.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from sluicegate.http.paths import BadPath, canonical_segments

from .targets import ObjectTemplate, UpstreamTemplate
from .templates import INT, PATH, STR, UUID, Parameter, ParameterType, RouteTemplate, TemplateError

__all__ = [
    "BadParameter",
    "BadPath",
    "Match",
    "NoMatch",
    "ObjectTemplate",
    "Parameter",
    "RouteTemplate",
    "Router",
    "TemplateError",
    "UpstreamTemplate",
    "canonical_segments",
]

_MOST_SPECIFIC_FIRST = (INT, UUID, STR)


@dataclass(frozen=True, slots=True)
class Match:
    """The route at `index` (in the order given to `Router`) serves the path, with these canonical values.

    `segments` are the path as the route spells it: its literals, the values, and nothing else. Whatever
    judges the path looks at these, so that it judges what the key is made of.
    """

    index: int
    params: dict[str, str]
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No route has the shape of the path; the gateway answers 404."""


@dataclass(frozen=True, slots=True)
class BadParameter:
    """A route has the shape of the path, but a value is not of its type; the gateway answers 422."""

    name: str
    found: str
    allowed: str


# How the value of a single-segment parameter is read from a segment; None where it does not fit.
_Read = Callable[[ParameterType, str], str | None]


@dataclass(slots=True)
class _Node:
    """A segment of the tree: what may follow, and the route that ends here."""

    literals: dict[str, "_Node"] = field(default_factory=dict)
    typed: dict[ParameterType, "_Node"] = field(default_factory=dict)
    rest: int | None = None
    end: int | None = None

    def child(self, kind: ParameterType) -> "_Node":
        """The node behind a parameter of this type; `typed` has the most specific type first."""
        self.typed.setdefault(kind, _Node())
        self.typed = {kind: self.typed[kind] for kind in _MOST_SPECIFIC_FIRST if kind in self.typed}
        return self.typed[kind]


@dataclass(frozen=True, slots=True)
class _Leaf:
    index: int
    values: tuple[str, ...]


class Router:
    """Finds the route of a path among templates of different shapes."""

    def __init__(self, templates: Iterable[RouteTemplate], merging: Collection[int] = ()) -> None:
        """Build the tree; raises `ValueError` where two templates have one shape.

        `merging` are the routes to where two slashes may be one.
        """
        self._templates = tuple(templates)
        self._merging = frozenset(merging)
        self._names = tuple(
            tuple(parameter.name for parameter in template.parameters) for template in self._templates
        )
        self._root = _Node()
        for index, template in enumerate(self._templates):
            self._add(index, template)

    def match(self, raw_path: bytes) -> Match | NoMatch | BadParameter:
        """Match a raw, still percent-encoded path; raises `BadPath` as `canonical_segments` does."""
        return self.find(canonical_segments(raw_path))

    def find(self, segments: tuple[str, ...]) -> Match | NoMatch | BadParameter:
        """Match the segments of a canonical path."""
        leaf = _descend(self._root, segments, (), _typed_value)
        if leaf is not None:
            plain = self._templates[leaf.index].filled(leaf.values)
            self._check_spellings(segments, plain, leaf.index)
            return Match(leaf.index, dict(zip(self._names[leaf.index], leaf.values, strict=True)), plain)
        leaf = _descend(self._root, segments, (), _any_value)
        return NoMatch() if leaf is None else self._bad_parameter(leaf)

    def _check_spellings(self, segments: tuple[str, ...], plain: tuple[str, ...], index: int) -> None:
        """Refuse a path that belongs to another route by another spelling; raises `BadPath`.

        A key and an upstream have no difference between `%2F` and a slash, nor between `007` and `7`, and
        many upstreams none between one slash and two: what one route guards must not be had through another.
        """
        if plain == segments and "" not in plain[:-1]:
            return
        others = [plain]
        if index in self._merging:
            others.append((*filter(None, plain[:-1]), plain[-1]))
        for other in others:
            found = _descend(self._root, other, (), _typed_value)
            if found is not None and found.index != index:
                raise BadPath("the path is that of another route when it is spelled plainly")

    def _bad_parameter(self, leaf: _Leaf) -> BadParameter:
        values = zip(self._templates[leaf.index].parameters, leaf.values, strict=True)
        # No route fitted with its types, so one of the values here is not of its type.
        return next(
            BadParameter(parameter.name, value, parameter.kind.allowed)
            for parameter, value in values
            if parameter.kind.read(value) is None
        )

    def _add(self, index: int, template: RouteTemplate) -> None:
        node = self._root
        for segment in template.segments:
            if isinstance(segment, str):
                node = node.literals.setdefault(segment, _Node())
            elif segment.kind != PATH:
                node = node.child(segment.kind)
        spans = any(parameter.kind == PATH for parameter in template.parameters)
        taken = node.rest if spans else node.end
        if taken is not None:
            other = self._templates[taken].text
            raise ValueError(
                f"routes {other!r} and {template.text!r} match the same paths; expected one of them"
            )
        if spans:
            node.rest = index
        else:
            node.end = index


def _typed_value(kind: ParameterType, text: str) -> str | None:
    return kind.read(text)


def _any_value(_kind: ParameterType, text: str) -> str | None:
    return STR.read(text)


def _descend(
    node: _Node,
    segments: tuple[str, ...],
    values: tuple[str, ...],
    read: _Read,
) -> _Leaf | None:
    """Search the tree below `node` for the rest of a path, most specific first.

    Each node of the tree is visited at most once for a path, so the work is bounded by the routes and by the
    length of the path, whatever the path holds.
    """
    if not segments:
        return None if node.end is None else _Leaf(node.end, values)
    text, later = segments[0], segments[1:]
    literal = node.literals.get(text)
    if literal is not None and (leaf := _descend(literal, later, values, read)):
        return leaf
    for kind, child in node.typed.items():
        value = read(kind, text)
        if value is not None and (leaf := _descend(child, later, (*values, value), read)):
            return leaf
    return _rest_of_path(node, segments, values)


def _rest_of_path(node: _Node, segments: tuple[str, ...], values: tuple[str, ...]) -> _Leaf | None:
    rest = PATH.read("/".join(segments)) if node.rest is not None else None
    return None if node.rest is None or rest is None else _Leaf(node.rest, (*values, rest))
