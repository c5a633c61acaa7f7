"""The command blocks of docs/deployment.md, as a person would paste them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "deployment.md"
_BLOCK = re.compile(r"^```sh(?: (?P<part>[a-z]+))?\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(part: str = "install") -> list[str]:
    """The blocks of one part in their order; a block without a word after `sh` belongs to `install`."""
    return [
        match["script"]
        for match in _BLOCK.finditer(GUIDE.read_text())
        if (match["part"] or "install") == part
    ]


def parts() -> set[str]:
    return {match["part"] or "install" for match in _BLOCK.finditer(GUIDE.read_text())}
