"""Reading what a command said, while it says it: clean text without terminal codes and without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rollbacks.supervisor.program import KEPT_BYTES

TAIL_BYTES = 65_536
HIDDEN = "[hidden]"
_TERMINAL_CODES = re.compile(
    r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[@-Z\\-_])"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Bounded on both sides, so that no output makes them slow.
_SECRETS = (
    re.compile(
        r"()-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,4096}?"
        r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)"
    ),
    re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{0,100}:)[^\s/@]{1,200}(?=@)", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic)\s{1,4})[A-Za-z0-9._~+/=-]{6,4096}", re.IGNORECASE),
    re.compile(
        r"((?:password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|credential|authorization"
        r"|cookie)[\"']?\s{0,4}[=:]\s{0,4}[\"']?)(?!\[hidden\])[^\s\"',;]{1,4096}",
        re.IGNORECASE,
    ),
    re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(
        r"\b(fb_[0-9a-f]{12}_|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|whsec_|sk-|npm_)[A-Za-z0-9_+/=-]{16,255}"
    ),
    re.compile(r"\b(eyJ)[A-Za-z0-9_-]{10,2048}\.[A-Za-z0-9_-]{10,4096}\.[A-Za-z0-9_-]{5,1024}"),
)
_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)?|secret|token|api_?key|credential|private|encryption_keys"
)


@dataclass(frozen=True)
class Piece:
    """Bytes of an output from `start` on; `total` is how many there were when it was read."""

    start: int
    data: bytes
    total: int


def read(path: Path, after: int = 0, limit: int = 2 * KEPT_BYTES) -> Piece:
    """The kept bytes from `after` on, as many as hang together; `start` is later where some are gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Piece(after, b"", after)
    try:
        total = _total(file)
        if after >= total:
            return Piece(after, b"", total)
        head = b""
        if after < min(total, KEPT_BYTES):
            head = os.pread(file, min(limit, min(total, KEPT_BYTES) - after), 8 + after)
            middle_is_gone = total > 2 * KEPT_BYTES
            if middle_is_gone or after + len(head) < KEPT_BYTES:
                return Piece(after, head, total)
        first = max(after, KEPT_BYTES, total - KEPT_BYTES)
        data = _from_ring(file, first, min(limit - len(head), total - first))
        # What was written meanwhile may stand where we read: those bytes are gone.
        lost = max(0, min(len(data), _total(file) - KEPT_BYTES - first))
        if head:
            return Piece(after, head if lost else head + data, total)
        return Piece(first + lost, data[lost:], total)
    finally:
        os.close(file)


def tail(path: Path, size: int = TAIL_BYTES) -> str:
    """The end of an output as clean text; says how much stands before it."""
    total = read(path, limit=0).total
    piece = read(path, after=max(0, total - size))
    text = clean(piece.data)
    return f"… {piece.start} bytes before this\n{text}" if piece.start else text


def clean(raw: bytes) -> str:
    """As text for people: bad UTF-8 and NUL marked, no terminal codes, no secrets."""
    text = _TERMINAL_CODES.sub("", raw.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "\n")
    return hide(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text))


def hide(text: str, values: Collection[str] | None = None) -> str:
    """The text without what looks like a secret, and without those that this process itself knows."""
    for value in own_secrets() if values is None else values:
        text = text.replace(value, HIDDEN)
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: (match[1] or "") + HIDDEN, text)
    return text


def own_secrets() -> frozenset[str]:
    """The values of environment variables that are named like secrets."""
    named = (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
    return frozenset(value for value in named if len(value) >= 8)


def _total(file: int) -> int:
    return int.from_bytes(os.pread(file, 8, 0), "little")


def _from_ring(file: int, first: int, size: int) -> bytes:
    place = (first - KEPT_BYTES) % KEPT_BYTES
    until_end = os.pread(file, min(size, KEPT_BYTES - place), 8 + KEPT_BYTES + place)
    return until_end + os.pread(file, size - len(until_end), 8 + KEPT_BYTES)
