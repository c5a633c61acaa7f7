"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class Ending(enum.Enum):
    """How a command came to its end."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Invocation:
    """One command, ready to run: nothing in it is a shell line."""

    argv: tuple[str, ...]
    directory: Path
    environment: dict[str, str]
    timeout_seconds: float
    output_file: Path


@dataclass(frozen=True)
class CommandResult:
    """How a command ended: its exit code (negative: killed by that signal) and the end of its output."""

    ending: Ending
    exit_code: int | None
    output_tail: str


Report = Callable[[str], None]
"""Called about once a second with the end of the output so far."""
