"""Checksums of a folder's files, and what differs from those that were written down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

MANIFEST = "manifest.json"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every regular file below `folder` but the manifest itself; links are not followed."""
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path != folder / MANIFEST
    }


def difference(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """The first file that lacks, is extra or was changed, in words; empty when all are the same."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} is not in its manifest"
        if expected[name] != found[name]:
            return f"{name} was changed"
    return ""


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
