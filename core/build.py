"""Which Firebreak this is: the version of pyproject.toml and, where it can be known, the commit."""

from __future__ import annotations

import functools
import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@functools.cache
def version() -> str:
    """Such as "0.1.0"."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(declared["project"]["version"])


@functools.cache
def commit() -> str:
    """The first twelve digits of the commit: BUILD_COMMIT, else the clone's own; "" when unknown."""
    found = os.environ.get("BUILD_COMMIT", "") or _commit_of_clone(ROOT / ".git")
    return found[:12] if _COMMIT.fullmatch(found) else ""


def full_version() -> str:
    """Such as "0.1.0+3f2a91c0b7de"."""
    return f"{version()}+{commit()}" if commit() else version()


def _commit_of_clone(git: Path) -> str:
    try:
        if git.is_file():  # a worktree names its folder
            git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        shared = git / "commondir"
        common = (git / shared.read_text().strip()).resolve() if shared.exists() else git
        if (common / name).exists():
            return (common / name).read_text().strip()
        packed = (common / "packed-refs").read_text()
        return next((line.split()[0] for line in packed.splitlines() if line.endswith(f" {name}")), "")
    except (OSError, UnicodeDecodeError, IndexError):
        return ""
