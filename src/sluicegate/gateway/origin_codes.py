"""What an origin's error says at its end: the status, and the code that S3 and Azure have for it. Pure."""

from __future__ import annotations

import re
from typing import Final

from sluicegate import SourceError

NO_PLACE: Final = frozenset({"NoSuchBucket", "ContainerNotFound"})
"""Codes that say that the place itself is not there, whatever the key."""

_SAID: Final = re.compile(r": ([0-9]{3})(?: ([A-Za-z]+))?\Z")


def status_and_code(error: SourceError) -> tuple[int | None, str | None]:
    """The status that an origin answered, and its own code for what is wrong, as the error tells them."""
    said = _SAID.search(str(error))
    return (None, None) if said is None else (int(said[1]), said[2])
