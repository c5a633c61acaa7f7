"""What a file is by its bytes alone, and what it is called: its sender is not believed. Pure."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from core.texts import is_blank, made_harmless

NAME_LENGTH = 120
MOST_PIXELS = 50_000_000  # a small file can be an image that fills a browser's memory
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
# No text holds these; line ends, tabs, form feeds and the colours of a terminal it may.
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_TEXT_SUFFIXES = (
    ".txt", ".log", ".json", ".csv", ".tsv", ".md", ".yaml", ".yml", ".toml", ".ini", ".conf", ".diff",
    ".patch", ".sql", ".har",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a file is: how it is shown, its media type, and the endings that fit, the usual one first."""

    kind: str
    content_type: str
    suffixes: tuple[str, ...]


_FILES = (
    (b"%PDF-", Found("file", "application/pdf", (".pdf",))),
    (b"PK\x03\x04", Found("file", "application/zip", (".zip",))),
    (b"PK\x05\x06", Found("file", "application/zip", (".zip",))),
    (b"\x1f\x8b\x08", Found("file", "application/gzip", (".gz", ".tgz"))),
)
_IMAGES = {
    "png": Found("image", "image/png", (".png",)),
    "jpeg": Found("image", "image/jpeg", (".jpg", ".jpeg")),
    "gif": Found("image", "image/gif", (".gif",)),
    "webp": Found("image", "image/webp", (".webp",)),
}
INLINE = frozenset(image.content_type for image in _IMAGES.values())


def recognise(data: bytes) -> Found | None:
    """What the bytes are; None for what is not kept.

    An image is one whose header says a size that a browser can bear; a text is UTF-8 without control
    characters, whatever language it is in: a page or a drawing of markup is a text like any other.
    """
    if (image := _image(data)) is not None:
        return image
    for magic, found in _FILES:
        if data.startswith(magic):
            return found
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if _NOT_TEXT.search(text):
        return None
    return Found("text", "text/plain", _TEXT_SUFFIXES)


def fitting_name(given: str, found: Found) -> str:
    """The last part of the name that was given, harmless, with an ending that fits what the file is.

    `../../page.html` is `page.html.txt`: whoever opens a download opens what it is.
    """
    name = made_harmless(re.split(r"[/\\]", given.strip())[-1]).strip(" .")
    if is_blank(name):
        name = "evidence"
    ending = _SUFFIX.search(name)
    suffix = ending[0] if ending and ending[0].lower() in found.suffixes else ""
    stem = name.removesuffix(suffix) if suffix else name
    suffix = suffix or found.suffixes[0]
    return stem[: NAME_LENGTH - len(suffix)] + suffix


def size_text(size: int) -> str:
    """`640 bytes`, `12 KiB`, `1.5 MiB`: for people."""
    if size < 1024:
        return f"{size} bytes"
    return f"{size / 1024:.0f} KiB" if size < 1_048_576 else f"{size / 1_048_576:.1f} MiB"


def _image(data: bytes) -> Found | None:
    for name, size_of in (("png", _png), ("gif", _gif), ("webp", _webp), ("jpeg", _jpeg)):
        size = size_of(data)
        if size is not None and 0 < size[0] * size[1] <= MOST_PIXELS:
            return _IMAGES[name]
    return None


Size = tuple[int, int]


def _png(data: bytes) -> Size | None:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _gif(data: bytes) -> Size | None:
    if data[:6] not in (b"GIF87a", b"GIF89a") or len(data) < 13:
        return None
    width, height = struct.unpack("<HH", data[6:10])
    return width, height


def _webp(data: bytes) -> Size | None:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(data: bytes) -> Size | None:
    """The size in the first frame header; the segments before it are stepped over."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
    return None
