"""What to test with, as it was named on the command line: objects of stores, and request paths. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..config import Config, UpstreamConfig
from ..routes import BadParameter, BadPath, Match, NoMatch, Router
from .upstreams import Wanted


class BadAim(ValueError):
    """An object or a path that the configuration has no place for; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Aims:
    """Keys to test with by the name of their store, and answers of upstreams."""

    keys: Mapping[str, tuple[str, ...]]
    wanted: tuple[Wanted, ...] = ()


def read_aims(config: Config, objects: Iterable[str], requests: Iterable[str]) -> Aims:
    """The aims that `--object STORE:KEY` and `--request PATH` name; raises `BadAim`.

    An upstream without parameters has one answer, which needs no path to be found.
    """
    router = Router(route.path for route in config.routes)
    found = [_object(config, text) for text in objects]
    wanted = [
        Wanted(route.target, _path(route.target, {}))
        for route in config.routes
        if isinstance(route.target, UpstreamConfig) and not route.target.template.names
    ]
    for text in requests:
        aim = _request(config, router, text)
        if isinstance(aim, Wanted):
            wanted.append(aim)
        else:
            found.append(aim)
    keys = {name: tuple(key for store, key in found if store == name) for name in config.stores}
    return Aims(keys, tuple(dict.fromkeys(wanted)))


def _object(config: Config, text: str) -> tuple[str, str]:
    store, colon, key = text.partition(":")
    if not colon or not key:
        raise BadAim(f"--object: found {text!r}; expected STORE:KEY")
    if store not in config.stores:
        allowed = ", ".join(config.stores) or "none: there are no stores"
        raise BadAim(f"--object: found the store {store!r}; expected one of {allowed}")
    return store, key


def _request(config: Config, router: Router, text: str) -> Wanted | tuple[str, str]:
    try:
        match router.match(text.encode()):
            case Match(index, params):
                target = config.routes[index].target
                if isinstance(target, UpstreamConfig):
                    return Wanted(target, _path(target, params))
                return target.render(params)
            case BadParameter(name, found, allowed):
                raise BadAim(f"--request {text!r}: {name}: found {found!r}; expected {allowed}")
            case NoMatch():
                shown = ", ".join(route.path.text for route in config.routes) or "none: there are no routes"
                raise BadAim(f"--request {text!r}: no route has this path; expected one of {shown}")
    except BadPath as exc:
        raise BadAim(f"--request {text!r}: {exc}") from exc


def _path(target: UpstreamConfig, params: Mapping[str, str]) -> str:
    return target.template.render(params).removesuffix(target.template.query)
