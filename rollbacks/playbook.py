"""This app's part of the playbook: commands, procedures, automation."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, RootModel, StringConstraints, field_validator, model_validator

from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Seconds, Section, Text
from incidents.states import Role
from rollbacks.states import Phase

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# What a worker fills in by itself; everything else is a declared parameter.
BUILT_IN = frozenset({"service", "environment", "from_version", "target_version", "var_dir", "python"})
Pattern = Annotated[str, StringConstraints(pattern=r"^\^.*\$$", max_length=200)]


class Parameter(Section):
    """A value that a rollback may be given; it must match the whole anchored pattern."""

    pattern: Pattern
    default: str | None = None

    @model_validator(mode="after")
    def _usable(self) -> Parameter:
        try:
            compiled = re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if self.default is not None and not compiled.fullmatch(self.default):
            raise ValueError("the default does not match the pattern")
        return self


class Command(Section):
    """One program with its arguments; never a shell line. Relative paths count from Firebreak's folder."""

    argv: tuple[Text, ...] = Field(min_length=1)
    timeout: Seconds = Field(gt=0)
    directory: str | None = None

    @field_validator("argv")
    @classmethod
    def _first_word_is_fixed(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if PLACEHOLDER.search(argv[0]) and argv[0] != "{python}":
            raise ValueError("the program itself cannot be a parameter")
        return argv


class Commands(RootModel[Mapping[Key, Command]]):
    """commands.yaml: every program that a rollback may run."""


class CommandStep(Section):
    """Run a command. `mutating` says that it changes something out there."""

    key: Key
    name: Text
    kind: Literal["command"] = "command"
    command: Key
    mutating: bool = False


class SoakStep(Section):
    """Watch the service's monitors for a while; samples of the first `settle` seconds are ignored."""

    key: Key
    name: Text
    kind: Literal["soak"]
    duration: Seconds = Field(gt=0)
    settle: Seconds = 0.0


Step = Annotated[CommandStep | SoakStep, Field(union_mode="left_to_right")]


class Procedure(Section):
    """procedures/*.yaml: what a rollback does, in three phases."""

    name: Text
    description: Text
    expected_duration: Seconds = Field(gt=0)
    expected_impact: Text
    parameters: Mapping[Key, Parameter] = Field(default_factory=dict)
    validate_: tuple[CommandStep, ...] = Field(alias="validate", min_length=1)
    execute: tuple[CommandStep, ...] = Field(min_length=1)
    verify: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Procedure:
        keys = [(phase, step.key) for phase, step in self.steps()]
        if len(set(keys)) != len(keys):
            raise ValueError("two steps of a phase have the same key")
        if any(step.mutating for step in self.validate_):
            raise ValueError("validate must change nothing: a step there is marked mutating")
        if wrong := BUILT_IN & set(self.parameters):
            raise ValueError(f"these names are Firebreak's own: {', '.join(sorted(wrong))}")
        return self

    def steps(self) -> Iterator[tuple[Phase, CommandStep | SoakStep]]:
        """All steps in order, each with its phase."""
        for phase, steps in (
            (Phase.VALIDATE, self.validate_),
            (Phase.EXECUTE, self.execute),
            (Phase.VERIFY, self.verify),
        ):
            for step in steps:
                yield phase, step


class Automation(Section):
    """automation.yaml: who approves, and what automation may do."""

    approvers: tuple[Role, ...] = Field(min_length=1)
    approval_valid: Seconds = Field(gt=0)
    recent_release: Seconds = Field(gt=0)


def procedure_digest(playbook: Playbook, key: str) -> str:
    """SHA-256 of a procedure together with every command it runs."""
    procedure: Procedure = playbook["procedures"][key]
    commands = playbook["commands"].root
    used = {
        step.command: commands[step.command].model_dump(mode="json")
        for _phase, step in procedure.steps()
        if isinstance(step, CommandStep)
    }
    body = {"key": key, "procedure": procedure.model_dump(mode="json"), "commands": used}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def check_references(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every step's command exists, and every placeholder of it is known to the procedure."""
    commands = playbook["commands"].root
    for key, procedure in playbook["procedures"].items():
        counters: dict[Phase, int] = {}
        for phase, step in procedure.steps():
            index = counters.get(phase, 0)
            counters[phase] = index + 1
            if not isinstance(step, CommandStep):
                continue
            place: Location = (phase.value, index, "command")
            command = commands.get(step.command)
            if command is None:
                yield f"procedures/{key}.yaml", place, f"no command {step.command}"
                continue
            wanted = {name for word in command.argv for name in PLACEHOLDER.findall(word)}
            if unknown := wanted - BUILT_IN - set(procedure.parameters):
                yield (
                    f"procedures/{key}.yaml",
                    place,
                    f"{step.command} needs parameters: {', '.join(sorted(unknown))}",
                )
