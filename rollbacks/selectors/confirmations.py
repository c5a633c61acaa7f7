"""The question of a `confirm` step, and who may answer it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from core.actors import Actor
from core.playbook import get_playbook
from incidents.selectors.actions import why_not_allowed
from incidents.states import Role
from rollbacks import policy
from rollbacks.models import Rollback, RollbackStep
from rollbacks.playbook import ConfirmStep
from rollbacks.rules.authority import either
from rollbacks.selectors.authority import demands_of, person_on_incident
from rollbacks.states import CONFIRM, StepState


@dataclass(frozen=True)
class Confirmation:
    """A step that waits for a person's yes."""

    position: int
    question: str
    until: dt.datetime | None
    url: str
    enabled: bool
    why_not: str


def confirmation_of(actor: Actor, rollback: Rollback, steps: Sequence[RollbackStep]) -> Confirmation | None:
    """What a person is asked now; None when no step waits for one (two queries at most)."""
    step = next((step for step in steps if step.kind == CONFIRM and step.state == StepState.WAITING), None)
    if step is None:
        return None
    declared, why_not = _declared(rollback, step), why_no_confirmation(actor, rollback, step)
    return Confirmation(
        position=step.position,
        question=declared.question if declared else step.name,
        until=step.due_at,
        url=reverse("rollbacks:confirm", kwargs={"ref": rollback.ref, "position": step.position}),
        enabled=not why_not,
        why_not=why_not,
    )


def why_no_confirmation(actor: Actor, rollback: Rollback, step: RollbackStep) -> str:
    """Why the actor may not answer the step's question; empty when they may."""
    if refusal := why_not_allowed(actor, "decide_rollback"):
        return refusal
    declared = _declared(rollback, step)
    if declared is None:
        return "The playbook's procedure is another one by now: nobody knows who may confirm it."
    wanted: tuple[Role, ...] = declared.roles or demands_of(rollback).deciding
    if set(wanted) & person_on_incident(actor, rollback.incident).roles:
        return ""
    return f"This is for {either(wanted)} of {rollback.incident.ref}."


def _declared(rollback: Rollback, step: RollbackStep) -> ConfirmStep | None:
    """The step as the playbook that the rollback is pinned to declares it."""
    key = rollback.procedure
    if key not in get_playbook()["procedures"] or policy.digest(key) != rollback.procedure_digest:
        return None
    _phase, declared = policy.steps_of(key)[step.position - 1]
    return declared if isinstance(declared, ConfirmStep) else None
