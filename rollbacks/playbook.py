"""This app's part of the playbook: commands, procedures, automation."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, RootModel, StringConstraints, model_validator

from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Line, PositiveSeconds, Seconds, Section, Text, told_apart_by_kind
from incidents.states import Role
from rollbacks.facts import PLACEHOLDER, ActingStep, Command, Step
from rollbacks.states import SOAK, Phase
from rollbacks.steps import STEPS
from rollbacks.steps.command import CommandStep
from rollbacks.steps.http import HttpStep

# What a worker fills in by itself; everything else is a declared parameter.
BUILT_IN = frozenset(
    {
        "service", "environment", "from_version", "target_version", "commit", "artifact", "incident",
        "rollback", "var_dir", "python",
    }
)  # fmt: skip
# Of these, what the ledger must know of the release that a rollback goes to.
OF_THE_TARGET = frozenset({"commit", "artifact"})
Returns = Literal["version", "configuration", "database"]
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


class WaitingStep(Step):
    """Base of the kinds that wait without a worker: a row with a time, looked at now and then."""

    @property
    def mutating(self) -> bool:
        return False


class SoakStep(WaitingStep):
    """Watch the service's monitors for a while; samples of the first `settle` seconds are ignored."""

    kind: Literal["soak"] = Field(description="Wait and watch.")
    duration: PositiveSeconds = Field(description="How long the monitors must stay well.")
    settle: Seconds = Field(
        default=0.0, description="Samples of so long after the start do not count: the change settles."
    )


class WaitStep(WaitingStep):
    """Let time pass, such as the five minutes before a performance is judged again."""

    kind: Literal["wait"] = Field(description="Wait.")
    duration: PositiveSeconds = Field(description="How long.")


class ConfirmStep(WaitingStep):
    """A person looks and says that the rollback may go on."""

    kind: Literal["confirm"] = Field(description="Wait for a person.")
    question: Text = Field(description="What the person answers for: a sentence that yes is an answer to.")
    roles: tuple[Role, ...] = Field(
        default=(),
        description="Who may confirm, of the incident's roles; without it, whoever may decide the rollback.",
    )
    within: PositiveSeconds = Field(
        default=3600.0,
        description="Without an answer by then the step has failed. It is never confirmed by itself.",
    )


class AssertStep(WaitingStep):
    """Firebreak's own judgement of what it measures; it changes nothing."""

    kind: Literal["assert"] = Field(description="Judge what the monitors say.")
    that: Literal["performance_score", "monitors_well", "monitors_answer"] = Field(
        description="`performance_score` is at least `at_least`; `monitors_well`: none is above a threshold;"
        " `monitors_answer`: each has measured lately. With too little measured to judge, a person decides."
    )
    at_least: int = Field(default=70, ge=0, le=100, description="The lowest score that is well enough.")
    attempts: int = Field(default=1, ge=1, le=100, description="How often it may be judged.")
    backoff: PositiveSeconds = Field(default=10.0, description="How long to wait before the next judgement.")


_ACTING: Mapping[str, type[Section]] = {kind: known.model for kind, known in STEPS.items()}
_WAITING: Mapping[str, type[Section]] = {
    "assert": AssertStep,
    "confirm": ConfirmStep,
    SOAK: SoakStep,
    "wait": WaitStep,
}
STEP_KINDS = tuple((kind, kind.replace("_", " ").capitalize()) for kind in (*_ACTING, *_WAITING))
"""Every kind of step with its name for people."""

if TYPE_CHECKING:
    AnyStep = ActingStep | SoakStep | WaitStep | ConfirmStep | AssertStep
else:
    AnyStep = told_apart_by_kind({**_ACTING, **_WAITING}, otherwise="command")


class Procedure(Section):
    """procedures/*.yaml: what a rollback does, in three phases."""

    name: Text = Field(description="Its name for people.")
    description: Text = Field(description="What it does, in one or two sentences.")
    expected_duration: PositiveSeconds = Field(
        description="How long it takes; said to people before they decide, and in messages."
    )
    expected_impact: Text = Field(description="What users notice while it runs; said with the duration.")
    returns: Returns = Field(
        default="version",
        description="What goes back: the service's `version`, or its `configuration` or `database` while the"
        " version stays. A database is never returned automatically, and always by two people.",
    )
    queue: Key = Field(
        default="default",
        description="Which runners may run it: those started for this queue, beside the deployment tooling.",
    )
    automatic: bool = Field(
        default=True, description="Whether automation may start it without a person; policy decides further."
    )
    people: int = Field(
        default=1,
        ge=1,
        le=4,
        description="How many different persons must stand behind it. Who asks in person and holds the"
        " authority counts; a token and automation do not.",
    )
    target_check: Key | None = Field(
        default=None,
        description="The command that verifies the target; it runs once more right before the step that"
        " `switches`.",
    )
    parameters: Mapping[Key, Parameter] = Field(
        default_factory=dict,
        description="What a request may set, by name; `{name}` in a step's words stands for its value.",
    )
    validate_: tuple[AnyStep, ...] = Field(
        alias="validate",
        min_length=1,
        description="Steps that change nothing. When one fails, the rollback has failed and nothing was"
        " changed.",
    )
    execute: tuple[AnyStep, ...] = Field(
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
        if any(step.kind == SOAK for step in (*self.validate_, *self.execute)):
            raise ValueError("a soak belongs to verify")
        if any(step.on_failure == "compensate" for step in (*self.validate_, *self.verify)):
            raise ValueError("`on_failure: compensate` belongs to execute")
        if sum(bool(getattr(step, "switches", False)) for _phase, step in self.steps()) > 1:
            raise ValueError("only one step switches")
        if self.returns == "database" and (self.automatic or self.people < 2):
            raise ValueError("a database is returned by `people: 2` at least and `automatic: false`")
        passed_over: set[str] = set()
        for _phase, step in self.steps():
            if step.only_if_failed is not None and step.only_if_failed not in passed_over:
                raise ValueError(
                    f"{step.key}: no earlier step {step.only_if_failed} goes on with `on_failure: continue`"
                )
            if step.on_failure == "continue":
                passed_over.add(step.key)
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


class FalsePositives(Section):
    """How many of its rollbacks may turn out needless before a monitor may start no more."""

    allowed: int = Field(
        default=1, ge=0, le=1000, description="So many of its automatic rollbacks may be judged false."
    )
    within: PositiveSeconds = Field(default=30 * 86_400.0, description="Older rollbacks do not count.")


class BreachConfirmation(Section):
    """When a single critical measurement counts as confirmed, so that something may be changed."""

    needed: int = Field(
        default=2,
        ge=1,
        le=20,
        description="So many measurements must be critical; 1 changes things on the first one alone.",
    )
    of: int = Field(default=3, ge=1, le=20, description="Of so many, the first critical one included.")
    within: PositiveSeconds = Field(
        default=30.0,
        description="Without them by then nothing is changed. A push monitor has two of its intervals and ten"
        " seconds at least.",
    )

    @model_validator(mode="after")
    def _possible(self) -> BreachConfirmation:
        if self.needed > self.of:
            raise ValueError("`needed` is more than `of`")
        return self


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
        description="Automation leaves by itself only a release younger than this. A person is asked about an"
        " older one, for memory or CPU only when errors or latency are seen, too."
    )
    cooldown: Seconds = Field(
        default=1800.0,
        description="After a rollback of a service has ended, none starts by itself for so long.",
    )
    per_day: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="So many rollbacks of a service start by themselves in 24 hours.",
    )
    share_of_services: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Of so large a share of all services a rollback that started by itself may run at once;"
        " of one service always.",
    )
    starts_in_ten_minutes: int = Field(
        default=5,
        ge=1,
        le=10_000,
        description="So many rollbacks start by themselves in ten minutes, of all services together.",
    )
    false_positives: FalsePositives = Field(
        default_factory=FalsePositives,
        description="When a monitor loses the right to start rollbacks.",
    )
    confirmation: BreachConfirmation = Field(
        default_factory=BreachConfirmation,
        description="What must be measured, while the validation runs, before a single critical measurement"
        " changes anything. A catastrophic one needs nothing more.",
    )
    http_hosts: tuple[Line, ...] = Field(
        default=(), description="The hosts (`name` or `name:port`) that steps of the kind `http` may ask."
    )


def commands_of(procedure: Procedure) -> frozenset[str]:
    """The names of all commands of commands.yaml that the procedure may run."""
    acting = [step for _phase, step in procedure.steps() if isinstance(step, ActingStep)]
    named = {step.command for step in acting if isinstance(step, CommandStep)}
    beside = {key for step in acting for key in step.probes()}
    target = {procedure.target_check} if procedure.target_check else set()
    return frozenset(named | beside | target)


def procedure_digest(playbook: Playbook, key: str) -> str:
    """SHA-256 of a procedure together with every command it runs."""
    procedure: Procedure = playbook["procedures"][key]
    commands = playbook["commands"].root
    used = {name: commands[name].model_dump(mode="json") for name in commands_of(procedure)}
    body = {"key": key, "procedure": procedure.model_dump(mode="json"), "commands": used}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def check_references(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every command of a procedure exists, every placeholder is known to it, every host is allowed."""
    for key, procedure in playbook["procedures"].items():
        for place, message in _wrong_in(procedure, playbook):
            yield f"procedures/{key}.yaml", place, message


def _wrong_in(procedure: Procedure, playbook: Playbook) -> Iterator[tuple[Location, str]]:
    commands: Mapping[str, Command] = playbook["commands"].root
    known = BUILT_IN | set(procedure.parameters)

    def unknown(words: Iterable[str]) -> str:
        wanted = {name for word in words for name in PLACEHOLDER.findall(word)}
        return ", ".join(sorted(wanted - known))

    def wrong_command(name: str) -> str:
        if name not in commands:
            return f"no command {name}"
        missing = unknown(commands[name].argv)
        return f"needs parameters: {missing}" if missing else ""

    if procedure.target_check and (message := wrong_command(procedure.target_check)):
        yield ("target_check",), message
    counters: dict[Phase, int] = {}
    for phase, step in procedure.steps():
        index = counters.get(phase, 0)
        counters[phase] = index + 1
        if not isinstance(step, ActingStep):
            continue
        place: Location = (phase.value, index)
        for field in ("command", "verify_before", "verify_after", "compensate_with"):
            name = getattr(step, field, None)
            if name is not None and (message := wrong_command(name)):
                yield (*place, field), message
        if not isinstance(step, CommandStep) and (missing := unknown(step.work(commands).words)):
            yield place, f"needs parameters: {missing}"
        if isinstance(step, HttpStep) and step.host not in playbook["automation"].http_hosts:
            yield (*place, "url"), f"automation.yaml does not list {step.host} under http_hosts"
