"""Keys that go wrong somewhere, and keys that no object may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.sources.base import MAX_KEY_BYTES

_COMPOSED: Final = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.txt"
_DECOMPOSED: Final = "cafe\N{COMBINING ACUTE ACCENT}.txt"


@dataclass(frozen=True, slots=True)
class AwkwardKey:
    """A key, and the `others` that a client or a server may take it for."""

    key: str
    others: tuple[str, ...] = ()

    def under(self, folder: str) -> AwkwardKey:
        """The same below `folder`. A leading slash stays one."""
        return AwkwardKey(_under(folder, self.key), tuple(_under(folder, other) for other in self.others))


AWKWARD_KEYS: Final[Mapping[str, AwkwardKey]] = {
    "spaces": AwkwardKey("my  photos/first one.jpg", ("my photos/first one.jpg", "my+photos/first+one.jpg")),
    "spaces-around": AwkwardKey(" around .txt", ("around .txt", " around.txt")),
    "plus": AwkwardKey("a+b.txt", ("a b.txt", "a%2Bb.txt")),
    "percent": AwkwardKey("100%.txt", ("100%25.txt",)),
    "escapes": AwkwardKey("a%2Fb%20c%00.txt", ("a%252Fb%2520c%2500.txt", "a b c.txt")),
    "escaped-dots": AwkwardKey("a/%2e%2e/b.txt", ("b.txt", "a/b.txt")),
    "quotes": AwkwardKey('it\'s "quoted" `so`.txt'),
    "punctuation": AwkwardKey("a+b (1)'!*.jpg", ("a b (1)'!*.jpg",)),
    "delimiters": AwkwardKey("a?b#c&d=e;f:g@h,i$j.txt", ("a", "a?b")),
    "brackets": AwkwardKey("a[b]{c}<d>|e^f~g.txt"),
    "backslash": AwkwardKey("a\\b.txt", ("a/b.txt",)),
    "hash-and-number": AwkwardKey("a.txt#1", ("a.txt",)),
    "dots-in-names": AwkwardKey("a..b/.hidden/c...txt", ("a..b/c...txt",)),
    "cjk": AwkwardKey("日本語/画像 一.jpg"),
    "emoji": AwkwardKey("🎉/🚀.png"),
    "composed": AwkwardKey(_COMPOSED, (_DECOMPOSED,)),
    "decomposed": AwkwardKey(_DECOMPOSED, (_COMPOSED,)),
    "upper-case": AwkwardKey("README.txt", ("readme.txt",)),
    "long-name": AwkwardKey("n" * 250 + ".txt"),
    "empty-segment": AwkwardKey("a//b.txt", ("a/b.txt",)),
    "empty-segments": AwkwardKey("a///b//c.txt", ("a/b/c.txt",)),
    "leading-slash": AwkwardKey("/a.txt", ("a.txt",)),
    "trailing-slash": AwkwardKey("a/b/", ("a/b",)),
}
"""By the names that `SourceContract.cannot_hold` knows them by."""

INVALID_KEYS: Final[Mapping[str, str]] = {
    "empty": "",
    "too-long": "x" * (MAX_KEY_BYTES + 1),
    "too-long-in-bytes": "é" * (MAX_KEY_BYTES // 2 + 1),
    "nul": "a\0b",
    "dot": ".",
    "dots": "..",
    "dot-segment": "a/./b",
    "dot-segment-up": "a/c/../b",
    "dot-segment-first": "../a/b",
    "dot-segment-last": "a/b/c/..",
    "lone-surrogate": "a/\ud800b",
}
"""Keys that no object has at any source."""


def _under(folder: str, key: str) -> str:
    return f"/{folder}{key}" if key.startswith("/") else f"{folder}/{key}"
