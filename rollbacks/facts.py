"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator

from core.playbook.schema import Key, Line, PositiveSeconds, Section, Text

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class Command(Section):
    """One program with its arguments; never a shell line. Relative paths count from Firebreak's folder."""

    argv: tuple[Text, ...] = Field(
        min_length=1,
        description="The program and its arguments, one list item each; `{…}` are placeholders, but not"
        " in the program's own name. No shell reads them.",
    )
    timeout: PositiveSeconds = Field(description="After this long the program is stopped and has failed.")
    directory: str | None = Field(
        default=None, description="Where the program runs; without it, Firebreak's own folder."
    )

    @field_validator("argv")
    @classmethod
    def _first_word_is_fixed(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if PLACEHOLDER.search(argv[0]) and argv[0] != "{python}":
            raise ValueError("the program itself cannot be a parameter")
        return argv


@dataclass(frozen=True)
class Work:
    """What a step does, before its placeholders are filled in. `directory` counts from Firebreak's own."""

    words: tuple[str, ...]
    timeout_seconds: float
    directory: str = ""


class ActingStep(Section):
    """Base of every kind of step that does something: what a procedure says about it."""

    key: Key = Field(description="Its name for programs; unique within its phase.")
    name: Line = Field(description="Its name for people: what the page of the rollback shows.")
    kind: str
    mutating: bool = Field(
        default=False,
        description="Whether it changes something out there. Such a step is never stopped half way and"
        " never repeated; when it fails, a person decides.",
    )

    def work(self, commands: Mapping[str, Command]) -> Work:
        """What there is to do; `commands` is the playbook's commands.yaml."""
        raise NotImplementedError


class Ending(enum.Enum):
    """How a step came to its end."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Invocation:
    """One step, ready to run: its words with every placeholder filled in; nothing is a shell line.

    `home` is Firebreak's own folder, `directory` where a program runs.
    """

    words: tuple[str, ...]
    home: Path
    directory: Path
    environment: dict[str, str]
    timeout_seconds: float
    output_file: Path


@dataclass(frozen=True)
class StepResult:
    """How a step ended: its exit code (0 is well, negative: killed by that signal), its output's end."""

    ending: Ending
    exit_code: int | None
    output_tail: str


Report = Callable[[str], None]
"""Called about once a second with the end of the output so far."""
