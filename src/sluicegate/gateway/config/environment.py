"""References to the environment: `${NAME}`, `${NAME:-default}`, and `$${` for a literal `${`."""

import re
from collections.abc import Callable, Mapping

from .errors import Mistake, Report
from .lines import Location

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_NAME_AND_DEFAULT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


_NOT_SET = "which is not set"


class Expanded(str):
    """A string that came from the environment: keys of other types may read it as theirs."""

    __slots__ = ()


def expand_table(
    table: Mapping[str, object], environ: Mapping[str, str], report: Report, location: Location = ()
) -> dict[str, object]:
    """Return a table with the references in its string values replaced, at any depth.

    A key whose value expands to the empty string is left out, as if it had not been written. A reference that
    cannot be replaced is reported, and its key is left out as well.
    """
    expanded = {key: _expand(value, environ, report, (*location, key)) for key, value in table.items()}
    return {key: value for key, value in expanded.items() if not (isinstance(value, Expanded) and not value)}


def is_unset(mistake: Mistake) -> bool:
    """Tell whether a mistake is that a variable is not set."""
    return mistake.found.startswith("${") and mistake.found.endswith(_NOT_SET)


def _expand(value: object, environ: Mapping[str, str], report: Report, location: Location) -> object:
    if isinstance(value, str):
        return _expand_text(value, environ, report, location)
    if isinstance(value, dict):
        return expand_table(value, environ, report, location)
    if isinstance(value, list):
        return [_expand(item, environ, report, (*location, index)) for index, item in enumerate(value)]
    return value


def _expand_text(text: str, environ: Mapping[str, str], report: Report, location: Location) -> str:
    if "${" not in text:
        return text
    broken: list[str] = []

    def complain(found: str, allowed: str) -> str:
        broken.append(found)
        report.add(location, found, allowed)
        return ""

    expanded = _REFERENCE.sub(lambda reference: _replacement(reference, environ, complain), text)
    if broken:
        return Expanded()
    return expanded if text.count("$${") == text.count("${") else Expanded(expanded)


def _replacement(
    reference: re.Match[str], environ: Mapping[str, str], complain: Callable[[str, str], str]
) -> str:
    if reference[0] == "$${":
        return "${"
    parts = _NAME_AND_DEFAULT.fullmatch(reference[1] or "")
    if parts is None:
        return complain("a malformed reference", "${NAME}, ${NAME:-default}, or $${ for a literal '${'")
    name, default = parts[1], parts[2]
    value = environ.get(name)
    if value is None and default is None:
        allowed = f"{name} in the environment, or ${{{name}:-default}}"
        return complain(f"${{{name}}}, {_NOT_SET}", allowed)
    text = value or default or ""
    # What is not UTF-8 in the environment, Python reads as lone surrogates; they can be sent nowhere.
    if any("\ud800" <= char <= "\udfff" for char in text):
        return complain(f"${{{name}}}, which is not UTF-8", "text")
    return text
