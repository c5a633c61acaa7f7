"""One rollback as its page shows it: facts, approvals, the three phases with their steps."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import F
from django.db.models.functions import Right
from django.urls import reverse

from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from core.playbook import get_playbook
from incidents.selectors.cards import incident_url
from incidents.values import duration_text
from rollbacks import policy
from rollbacks.facts import ActingStep
from rollbacks.models import Rollback, RollbackStep
from rollbacks.rules.authority import describe
from rollbacks.selectors.authority import demands_of, is_about_this_plan
from rollbacks.states import (
    BUSY_STEPS,
    DONE_STEPS,
    RUNNABLE_STATES,
    UNSETTLED_STEPS,
    ApprovalDecision,
    Phase,
    RollbackState,
    StepState,
    Trigger,
)

SHOWN_OUTPUT = 8_000  # characters; the rest is behind `url_output`


@dataclass(frozen=True)
class RollbackFacts:
    """What a page says about a rollback itself."""

    ref: str
    url: str
    incident_ref: str
    incident_url: str
    incident_title: str
    severity: str
    service: str
    environment: str
    from_version: str
    target_version: str
    procedure: str
    trigger: str
    trigger_label: str
    state: str
    state_label: str
    drill: bool
    requested_by: str
    requested_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    duration_text: str
    reason: str
    expected_duration_text: str
    expected_impact: str
    outcome: str
    authority_text: str
    break_glass: bool
    returns: str
    parent_ref: str
    parent_url: str
    judgement: str
    no_runner_text: str
    breach_check_until: dt.datetime | None


@dataclass(frozen=True)
class ApprovalLine:
    """What one person decided; `valid` while it is about the plan as it stands."""

    who: str
    decision: str
    label: str
    at: dt.datetime
    reason: str
    valid: bool


@dataclass(frozen=True)
class StepLine:
    """One step with the end of its output; `waits_until` is its next attempt, look or end."""

    position: int
    key: str
    label: str
    kind: str
    state: str
    state_label: str
    attempt: int
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    duration_text: str
    exit_code: int | None
    command_text: str
    output_tail: str
    note: str
    url_output: str | None
    waits_until: dt.datetime | None
    tolerated: bool


@dataclass(frozen=True)
class PhaseLine:
    """One of the three phases; `state` sums up its steps."""

    key: str
    label: str
    state: str
    steps: tuple[StepLine, ...]


def get_rollback(actor: Actor, ref: str) -> Rollback:
    """The rollback of that reference, if the actor may see its incident; raises NotFound."""
    rows = Rollback.objects.visible_to(actor).select_related("incident", "service", "parent")
    rollback = rows.filter(ref=ref).first()
    if rollback is None:
        raise NotFound("No such rollback.")
    return rollback


def last_editor(rollback: Rollback) -> str:
    """The actor of the latest event that edited the rollback; "somebody" where no event says."""
    events = Event.objects.filter(
        kind="rollback.edited", stream_id=rollback.incident.stream_id, data__rollback=rollback.ref
    ).order_by("-seq")
    return events.values_list("actor", flat=True).first() or "somebody"


def rollback_url(ref: str) -> str:
    return reverse("rollbacks:rollback", args=[ref])


def rollback_facts(rollback: Rollback) -> RollbackFacts:
    """The facts of a rollback whose incident, service and parent are loaded (no query)."""
    incident = rollback.incident
    took = (
        (rollback.completed_at - rollback.started_at)
        if rollback.completed_at and rollback.started_at
        else None
    )
    return RollbackFacts(
        ref=rollback.ref,
        url=rollback_url(rollback.ref),
        incident_ref=incident.ref,
        incident_url=incident_url(incident.ref),
        incident_title=incident.title,
        severity=incident.severity,
        service=rollback.service.name,
        environment=rollback.service.environment,
        from_version=rollback.from_version,
        target_version=rollback.target_version,
        procedure=policy.procedure_name(rollback.procedure),
        trigger=rollback.trigger,
        trigger_label=str(Trigger(rollback.trigger).label),
        state=rollback.state,
        state_label=str(RollbackState(rollback.state).label),
        drill=rollback.drill,
        requested_by=rollback.requested_by,
        requested_at=rollback.requested_at,
        started_at=rollback.started_at,
        completed_at=rollback.completed_at,
        duration_text=duration_text(took.total_seconds()) if took else "",
        reason=rollback.reason,
        expected_duration_text=duration_text(rollback.expected_duration_seconds),
        expected_impact=rollback.expected_impact,
        outcome=rollback.outcome,
        authority_text=describe(demands_of(rollback)) + ".",
        no_runner_text=_no_runner_text(rollback),
        breach_check_until=rollback.breach_check_until,
        break_glass=rollback.break_glass,
        returns=rollback.returns,
        parent_ref=rollback.parent.ref if rollback.parent else "",
        parent_url=rollback_url(rollback.parent.ref) if rollback.parent else "",
        judgement=_judgement(rollback),
    )


def _no_runner_text(rollback: Rollback) -> str:
    if rollback.no_runner_at is None or rollback.state not in RUNNABLE_STATES:
        return ""
    return f"No runner for queue {rollback.queue}: it is due, and no living process serves that queue."


def list_children(rollback: Rollback) -> tuple[tuple[str, str], ...]:
    """The rollbacks that undo it or took over from it, as (reference, address) (one query)."""
    refs = rollback.children.order_by("pk").values_list("ref", flat=True)
    return tuple((ref, rollback_url(ref)) for ref in refs)


def _judgement(rollback: Rollback) -> str:
    if rollback.false_positive is None:
        return ""
    said = "A false positive" if rollback.false_positive else "It was necessary"
    return f"{said}, says {rollback.judged_by}: {rollback.judged_reason}"


def list_approvals(rollback: Rollback) -> tuple[ApprovalLine, ...]:
    """Every decision about the rollback, the oldest first (one query)."""
    return tuple(
        ApprovalLine(
            who=approval.user.get_username(),
            decision=approval.decision,
            label=str(ApprovalDecision(approval.decision).label),
            at=approval.decided_at,
            reason=approval.reason,
            valid=is_about_this_plan(approval, rollback),
        )
        for approval in rollback.approvals.select_related("user")
    )


def steps_with_tails(rollback: Rollback) -> list[RollbackStep]:
    """The steps, with only the end of each one's output as `tail` (one query)."""
    rows = rollback.steps.defer("output_tail").annotate(tail=Right(F("output_tail"), SHOWN_OUTPUT))
    return list(rows.order_by("position"))


def list_phases(rollback: Rollback, steps: Sequence[RollbackStep]) -> tuple[PhaseLine, ...]:
    """The three phases with their steps, as `steps_with_tails` loaded them (no query)."""
    commands = _command_texts(rollback)
    return tuple(
        PhaseLine(
            key=phase.value,
            label=str(phase.label),
            state=_phase_state([step for step in steps if step.phase == phase]),
            steps=tuple(_step_line(rollback, step, commands) for step in steps if step.phase == phase),
        )
        for phase in Phase
    )


def _phase_state(steps: Iterable[RollbackStep]) -> str:
    states = {StepState(step.state) for step in steps if not step.tolerated}
    for state in reversed(UNSETTLED_STEPS):
        if state in states:
            return state.value
    for state in (StepState.SKIPPED, StepState.REHEARSED, StepState.COMPENSATED):
        if states <= {state, StepState.SKIPPED}:
            return state.value
    if states <= set(DONE_STEPS):
        return StepState.SUCCEEDED.value
    begun = states & {*BUSY_STEPS, StepState.WAITING, *DONE_STEPS}
    return StepState.RUNNING.value if begun else StepState.PENDING.value


def _step_line(rollback: Rollback, step: RollbackStep, commands: Mapping[int, str]) -> StepLine:
    took = (step.finished_at - step.started_at) if step.finished_at and step.started_at else None
    tail: str = getattr(step, "tail")  # noqa: B009 - annotated by steps_with_tails
    return StepLine(
        position=step.position,
        key=step.key,
        label=step.name,
        kind=step.kind,
        state=step.state,
        state_label=str(StepState(step.state).label),
        attempt=step.attempt,
        started_at=step.started_at,
        finished_at=step.finished_at,
        duration_text=duration_text(took.total_seconds()) if took else "",
        exit_code=step.exit_code,
        command_text=commands.get(step.position, ""),
        output_tail=tail,
        note=step.note,
        url_output=f"/api/v1/rollbacks/{rollback.ref}/steps/{step.position}/output/" if tail else None,
        waits_until=step.due_at if step.state in (StepState.PENDING, StepState.WAITING) else None,
        tolerated=step.tolerated,
    )


def _command_texts(rollback: Rollback) -> dict[int, str]:
    """What each acting step runs, unless this playbook is not the one that the rollback is pinned to."""
    from_playbook = get_playbook()["procedures"]
    if (
        rollback.procedure not in from_playbook
        or policy.digest(rollback.procedure) != rollback.procedure_digest
    ):
        return {}
    known = {
        "service": rollback.service.slug,
        "environment": rollback.service.environment,
        "from_version": rollback.from_version,
        "target_version": rollback.target_version,
        **rollback.parameters,
    }
    return {
        position: _filled_in(step.work(policy.commands()).words, known)
        for position, (_phase, step) in enumerate(policy.steps_of(rollback.procedure), start=1)
        if isinstance(step, ActingStep)
    }


def _filled_in(text: Iterable[str], values: Mapping[str, str]) -> str:
    """The words for reading; what only the worker knows, such as {var_dir}, stays a placeholder."""
    words = []
    for word in text:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        words.append(word)
    return shlex.join(words)
