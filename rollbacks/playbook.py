"""This app's part of the playbook: commands, procedures, automation."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, RootModel, StringConstraints, model_validator

from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Line, PositiveSeconds, Seconds, Section, Text, told_apart_by_kind
from incidents.states import Role
from rollbacks.facts import PLACEHOLDER, ActingStep, Command
from rollbacks.states import SOAK, Phase
from rollbacks.steps import STEPS
from rollbacks.steps.command import CommandStep

# What a worker fills in by itself; everything else is a declared parameter.
BUILT_IN = frozenset({"service", "environment", "from_version", "target_version", "var_dir", "python"})
Pattern = Annotated[str, StringConstraints(pattern=r"^\^.*\$$", max_length=200)]


class Parameter(Section):
    """A value that a rollback may be given; it must match the whole anchored pattern."""

    pattern: Pattern = Field(
        description="A regular expression from `^` to `$`. A value must match, and never begins with `-`."
    )
    default: str | None = Field(
        default=None, description="The value when none is given; without it the parameter is required."
    )

    @model_validator(mode="after")
    def _usable(self) -> Parameter:
        try:
            compiled = re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if self.default is not None and not compiled.fullmatch(self.default):
            raise ValueError("the default does not match the pattern")
        return self


class Commands(RootModel[Mapping[Key, Command]]):
    """commands.yaml: every program that a rollback may run."""


class SoakStep(Section):
    """Watch the service's monitors for a while; samples of the first `settle` seconds are ignored."""

    key: Key = Field(description="Its name for programs; unique within its phase.")
    name: Line = Field(description="Its name for people: what the page of the rollback shows.")
    kind: Literal["soak"] = Field(description="Wait and watch.")
    duration: PositiveSeconds = Field(description="How long the monitors must stay well.")
    settle: Seconds = Field(
        default=0.0, description="Samples of so long after the start do not count: the change settles."
    )

    @property
    def mutating(self) -> bool:
        return False


_ACTING: Mapping[str, type[Section]] = {kind: model for kind, (model, _run) in STEPS.items()}
STEP_KINDS = tuple((kind, kind.replace("_", " ").capitalize()) for kind in (*_ACTING, SOAK))
"""Every kind of step with its name for people."""

if TYPE_CHECKING:
    AnyActingStep = ActingStep
    AnyStep = ActingStep | SoakStep
else:
    AnyActingStep = told_apart_by_kind(_ACTING, otherwise="command")
    AnyStep = told_apart_by_kind({**_ACTING, SOAK: SoakStep}, otherwise="command")


class Procedure(Section):
    """procedures/*.yaml: what a rollback does, in three phases."""

    name: Text = Field(description="Its name for people.")
    description: Text = Field(description="What it does, in one or two sentences.")
    expected_duration: PositiveSeconds = Field(
        description="How long it takes; said to people before they decide, and in messages."
    )
    expected_impact: Text = Field(description="What users notice while it runs; said with the duration.")
    parameters: Mapping[Key, Parameter] = Field(
        default_factory=dict,
        description="What a request may set, by name; `{name}` in a step's words stands for its value.",
    )
    validate_: tuple[AnyActingStep, ...] = Field(
        alias="validate",
        min_length=1,
        description="Steps that change nothing. When one fails, the rollback has failed and nothing was"
        " changed.",
    )
    execute: tuple[AnyActingStep, ...] = Field(
        min_length=1, description="Steps that change things, in order. When one fails, a person decides."
    )
    verify: tuple[AnyStep, ...] = Field(
        min_length=1,
        description="Steps that prove that the service recovered, a soak among them. When one fails, a"
        " person decides.",
    )

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

    def steps(self) -> Iterator[tuple[Phase, AnyStep]]:
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

    approvers: tuple[Role, ...] = Field(
        min_length=1,
        description="Who may approve where the authority asks for approval. Never who asked.",
    )
    approval_valid: PositiveSeconds = Field(
        description="A request not approved, or an approval not used, within this time expires."
    )
    recent_release: PositiveSeconds = Field(
        description="Memory or CPU alone start a rollback by themselves only of a release younger than this."
    )


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
            if isinstance(step, SoakStep):
                continue
            place: Location = (phase.value, index)
            if isinstance(step, CommandStep):
                place = (*place, "command")
                if step.command not in commands:
                    yield f"procedures/{key}.yaml", place, f"no command {step.command}"
                    continue
            wanted = {name for word in step.work(commands).words for name in PLACEHOLDER.findall(word)}
            if unknown := wanted - BUILT_IN - set(procedure.parameters):
                yield f"procedures/{key}.yaml", place, f"needs parameters: {', '.join(sorted(unknown))}"
