"""Sizes in bytes, as a number or as text with a unit: `8388608`, `"8MiB"`."""

import re

UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

LARGEST = 1024**4
"""More is a typing error."""

_SIZE = re.compile(r"([0-9]{1,13}) ?(KiB|MiB|GiB)")


def read_size(value: object) -> int | None:
    """Return a number of bytes from 0 to `LARGEST`, or None for anything else."""
    size = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and (found := _SIZE.fullmatch(value)) is not None:
        size = int(found[1]) * UNITS[found[2]]
    return size if size is not None and 0 <= size <= LARGEST else None
