"""The media type that a key suggests, for stores that keep none (folders, memory).

The table is Python's own, never the machine's, so that every machine answers alike.
"""

from __future__ import annotations

import mimetypes
from functools import lru_cache

DEFAULT_MEDIA_TYPE = "application/octet-stream"

_NEWER = {
    # Registered types that Python's table lacks, or has otherwise, in some of the versions that we support.
    ".avif": "image/avif",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".js": "text/javascript",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mkv": "video/matroska",
    ".mpd": "application/dash+xml",
    ".ogg": "audio/ogg",
    ".otf": "font/otf",
    ".parquet": "application/vnd.apache.parquet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".ts": "video/mp2t",
    ".ttf": "font/ttf",
    ".vtt": "text/vtt",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
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
