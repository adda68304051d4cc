"""The lines of keys in a TOML text."""

import pytest

from sluicegate.gateway.config.lines import KeyLines

LINES = KeyLines(
    '''\
top.dotted."key.with dots" = 1
[stores.images]   # a comment with [[routes]]
url = """
[[routes]]
path = "not a key"
"""
'single' = \'\'\'
x = 1\'\'\'
array = [
  "a", # ] not the end
  [1, 2],
]
inline = { a = 1, b = "}" }
after = 1
[[routes]]
path = 1
  [routes.headers]
  "X-A" = 1
[[ "routes" ]]
path = "quoted \\" quote"
text = ["""ends in quotes"""", "]"]
last = 1'''
)


@pytest.mark.parametrize(
    ("location", "line"),
    [
        pytest.param(("top", "dotted", "key.with dots"), 1, id="dotted-key"),
        pytest.param(("top",), 1, id="table-of-a-dotted-key"),
        pytest.param(("stores", "images"), 2, id="header"),
        pytest.param(("stores", "images", "url"), 3, id="multi-line-string"),
        pytest.param(("stores", "images", "single"), 7, id="quoted-key"),
        pytest.param(("stores", "images", "array", 1), 9, id="multi-line-array"),
        pytest.param(("stores", "images", "inline", "b"), 13, id="inline-table"),
        pytest.param(("stores", "images", "after"), 14, id="after-them"),
        pytest.param(("stores", "images", "missing"), 2, id="missing-key"),
        pytest.param(("routes",), 15, id="array-of-tables"),
        pytest.param(("routes", 0, "path"), 16, id="key-of-the-first"),
        pytest.param(("routes", 0, "headers", "X-A"), 18, id="table-of-the-first"),
        pytest.param(("routes", 1), 19, id="second"),
        pytest.param(("routes", 1, "path"), 20, id="key-of-the-second"),
        pytest.param(("routes", 1, "text"), 21, id="after-an-escaped-quote"),
        pytest.param(("routes", 1, "last"), 22, id="after-a-quote-before-quotes"),
        pytest.param(("nowhere",), None, id="unknown"),
    ],
)
def test_line_of_a_key_is_known(location: tuple[str | int, ...], line: int | None) -> None:
    assert LINES.line_of(location) == line


def test_lines_are_counted_with_any_line_end() -> None:
    assert KeyLines("a = 1\r\n[b]\r\nc = 1\r\n").line_of(("b", "c")) == 3
