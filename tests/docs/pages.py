"""Reading the pages of docs/: their fenced blocks with language and labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: "```python file=a.py" has the label file; `line` is where it stands."""

    language: str
    labels: dict[str, str]
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            found[1],
            dict(word.partition("=")[::2] for word in found[2].split()),
            found[3],
            text.count("\n", 0, found.start()) + 1,
        )
        for found in _FENCE.finditer(text)
    ]


def markdown_files() -> list[Path]:
    """Every page of the repository."""
    skipped = {"var", "node_modules", "staticfiles"}
    return sorted(
        page
        for page in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part in skipped for part in page.relative_to(ROOT).parts)
    )
