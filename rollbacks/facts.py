"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from core.playbook.schema import Key, Line, PositiveSeconds, Seconds, Section, Text

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class ResourceLimits(Section):
    """What a program and its children may use up. A limit is the kernel's, so nothing talks its way out."""

    processes: int = Field(
        default=256, ge=1, le=65_536, description="Processes and threads it may add to those of its account."
    )
    open_files: int = Field(default=1024, ge=16, le=1_048_576, description="Open files per process.")
    memory_mib: int | None = Field(
        default=None, ge=16, description="Address space per process, in MiB; without it, no limit."
    )
    file_size_mib: int | None = Field(
        default=None, ge=1, description="Largest file it may write, in MiB; without it, no limit."
    )


class Command(Section):
    """One program with its arguments; never a shell line. Relative paths count from Firebreak's folder."""

    argv: tuple[Text, ...] = Field(
        min_length=1,
        description="The program and its arguments, one list item each; `{…}` are placeholders, but not"
        " in the program's own name. No shell reads them.",
    )
    timeout: PositiveSeconds = Field(description="After this long the program is stopped and has failed.")
    no_output_timeout: PositiveSeconds | None = Field(
        default=None, description="After so long without any output the program counts as hanging."
    )
    directory: str | None = Field(
        default=None, description="Where the program runs; without it, Firebreak's own folder."
    )
    limits: ResourceLimits = Field(default_factory=ResourceLimits, description="What it may use up.")

    @field_validator("argv")
    @classmethod
    def _first_word_is_fixed(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if PLACEHOLDER.search(argv[0]) and argv[0] != "{python}":
            raise ValueError("the program itself cannot be a parameter")
        return argv


@dataclass(frozen=True)
class Work:
    """What a step does, before its placeholders are filled in. `directory` counts from Firebreak's own.

    `encoded` are the positions of words that are addresses: values are percent-encoded there. `options`
    is whatever else its kind needs to know; it holds no placeholders.
    """

    words: tuple[str, ...]
    timeout_seconds: float
    directory: str = ""
    encoded: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Breach:
    """A threshold that a service exceeded, and what the playbook wants done about it.

    `effect` is the playbook's for the level: automatic, with_approval or none. Without a `monitor` nobody
    measured it alone. `at` is when it was measured; a `catastrophic` value needs no second one.
    """

    metric: str
    level: str
    effect: str
    policy: str
    cause: str
    monitor: int | None = None
    at: dt.datetime | None = None
    catastrophic: bool = False


OnFailure = Literal["stop", "continue", "compensate"]


class Step(Section):
    """Base of every step: what a procedure says about it."""

    key: Key = Field(description="Its name for programs; unique within its phase.")
    name: Line = Field(description="Its name for people: what the page of the rollback shows.")
    on_failure: OnFailure = Field(
        default="stop",
        description="When it fails: `stop` (a person decides once something was changed), `continue` with"
        " the next step, or `compensate` what was done, the last first.",
    )
    only_if_failed: Key | None = Field(
        default=None,
        description="Do this step only when the earlier step of this key failed (and went on by `on_failure:"
        " continue`); else it is skipped.",
    )


class ActingStep(Step):
    """Base of every kind of step that does something."""

    kind: str
    mutating: bool = Field(
        default=False,
        description="Whether it changes something out there. Such a step is never stopped half way; when it"
        " fails, a person decides.",
    )
    switches: bool = Field(
        default=False,
        description="After this step the target version is live. The target is verified once more right"
        " before it.",
    )
    repeatable: bool = Field(
        default=False,
        description="Doing it twice does no harm. Only such a step is tried again by itself; any other runs"
        " at most once.",
    )
    attempts: int = Field(
        default=1, ge=1, le=20, description="How often it may be tried before it has failed."
    )
    backoff: Seconds = Field(
        default=2.0,
        description="How long to wait before the second attempt; doubled before each further.",
    )
    verify_before: Key | None = Field(
        default=None,
        description="A command that ends with 0 when the step's effect is there already: it is then skipped.",
    )
    verify_after: Key | None = Field(
        default=None,
        description="A command that reads back whether the step took effect: 0 is yes. It also decides when"
        " a worker died in mid-step. A step that changes something must have one.",
    )
    compensate_with: Key | None = Field(
        default=None, description="The command that undoes the step, for `on_failure: compensate`."
    )
    safe_in_drill: bool = Field(
        default=False,
        description="A drill does this step for real; every other one is only rehearsed: shown, not done.",
    )

    @model_validator(mode="after")
    def _sound(self) -> ActingStep:
        if self.attempts > 1 and not self.repeatable:
            raise ValueError("more than one attempt needs `repeatable: true`")
        if self.mutating and self.verify_after is None:
            raise ValueError("a step that changes something needs `verify_after`, its read-back")
        if self.switches and not self.mutating:
            raise ValueError("a step that switches changes something: `mutating: true`")
        if self.mutating and self.safe_in_drill:
            raise ValueError("a step that changes something is never safe in a drill")
        if self.compensate_with is not None and not self.mutating:
            raise ValueError("there is nothing to undo in a step that changes nothing")
        return self

    def work(self, commands: Mapping[str, Command]) -> Work:
        """What there is to do; `commands` is the playbook's commands.yaml."""
        raise NotImplementedError

    def probes(self) -> tuple[str, ...]:
        """The commands of commands.yaml that stand beside the step's own work."""
        named = (self.verify_before, self.verify_after, self.compensate_with)
        return tuple(key for key in named if key is not None)


class Ending(enum.Enum):
    """How a step came to its end."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LATER = "later"
    """It was accepted and goes on elsewhere: look again after `later_seconds`."""
    UNKNOWN = "unknown"
    """It began, and nobody can know how it ended."""


@dataclass(frozen=True)
class Invocation:
    """One step, ready to run: its words with every placeholder filled in; nothing is a shell line.

    `home` is Firebreak's own folder, `directory` where a program runs, `run_dir` the folder of this one
    attempt, which outlives the worker and is there before it may have begun. `key` is the same for every
    attempt of the step. `resumed`: another worker may have begun this very attempt before it died. `memory`
    is what an earlier look (Ending.LATER) wanted to be remembered.
    """

    words: tuple[str, ...]
    home: Path
    directory: Path
    environment: dict[str, str]
    timeout_seconds: float
    run_dir: Path
    key: str = ""
    resumed: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepResult:
    """How a step ended: its exit code (0 is well, negative: killed by that signal), its output's end."""

    ending: Ending
    exit_code: int | None
    output_tail: str
    note: str = ""
    later_seconds: float = 0.0
    memory: Mapping[str, Any] = field(default_factory=dict)


Report = Callable[[str], None]
"""Called about twice a second with the end of the output so far."""
