"""The media type that a key suggests, for stores that keep none (folders, memory).

The table is Python's own, never the machine's, so that every machine answers alike.
"""

from __future__ import annotations

import mimetypes
from functools import lru_cache

DEFAULT_MEDIA_TYPE = "application/octet-stream"

_NEWER = {
    # Registered types that Python's table lacks in some of the versions that we support.
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mpd": "application/dash+xml",
    ".ogg": "audio/ogg",
    ".parquet": "application/vnd.apache.parquet",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".zst": "application/zstd",
}


@lru_cache(maxsize=1)
def _table() -> dict[str, str]:
    return {**mimetypes.MimeTypes().types_map[True], **_NEWER}


def media_type_of(key: str) -> str:
    """The type for the extension of `key`, `application/octet-stream` if there is no better."""
    name = key.rsplit("/", 1)[-1]
    _, dot, extension = name.rpartition(".")
    return _table().get(f".{extension.lower()}", DEFAULT_MEDIA_TYPE) if dot else DEFAULT_MEDIA_TYPE
