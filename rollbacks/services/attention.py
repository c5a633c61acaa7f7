"""The ways out of `needs_attention`, each decided by a named person with a reason."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed
from incidents.services.incidents import follow_rollback
from incidents.states import IncidentStatus
from rollbacks.models import Rollback, RollbackStep
from rollbacks.selectors.choices import why_no_decision
from rollbacks.services.endings import end_rollback, lock_rollback
from rollbacks.services.runners import wake_runner
from rollbacks.states import PHASE_STATE, Phase, RollbackState, StepState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_rollback, move_step


@transaction.atomic
def mark_step_done(
    *, rollback_id: int, position: int, reason: str, actor: Actor, now: dt.datetime
) -> Rollback:
    """A person has made sure that the step's effect is there: the rollback goes on after it.

    Where what was done is being undone, they have made sure that the step is.
    """
    rollback, step = _lock_for_decision(rollback_id, position, reason, actor, now)
    note = f"marked done by {actor.label}: {reason}"[:500]
    done = StepState.COMPENSATED if rollback.compensating else StepState.SUCCEEDED
    move_step(step, done, note=note, finished_at=now)
    record_on_rollback(
        rollback,
        "rollback.step_marked_done",
        f"{step.name} marked done by {actor.label}: {reason}",
        actor=actor,
        now=now,
        data={"position": step.position, "reason": reason},
    )
    _go_on(rollback, step, actor, now)
    return rollback


@transaction.atomic
def retry_step(*, rollback_id: int, position: int, reason: str, actor: Actor, now: dt.datetime) -> Rollback:
    """A person answers for running the step, or its undoing, once more: its attempts are counted on."""
    rollback, step = _lock_for_decision(rollback_id, position, reason, actor, now)
    if not rollback.compensating:  # what is being undone is taken up again from where it stands
        note = f"tried again by {actor.label}: {reason}"[:500]
        move_step(step, StepState.PENDING, note=note, finished_at=None, due_at=None, exit_code=None)
    record_on_rollback(
        rollback,
        "rollback.step_retried",
        f"{step.name} is tried again by {actor.label}: {reason}",
        actor=actor,
        now=now,
        data={"position": step.position, "attempt": step.attempt, "reason": reason},
    )
    _go_on(rollback, step, actor, now)
    return rollback


@transaction.atomic
def abort_rollback(
    *, rollback_id: int, position: int, reason: str, actor: Actor, now: dt.datetime
) -> Rollback:
    """A person takes over outside Firebreak: the rollback ends as resolved by hand."""
    rollback, step = _lock_for_decision(rollback_id, position, reason, actor, now)
    end_rollback(
        rollback,
        RollbackState.RESOLVED_BY_HAND,
        f"aborted at {step.name} by {actor.label}: {reason}",
        actor=actor,
        now=now,
    )
    return rollback


def _go_on(rollback: Rollback, step: RollbackStep, actor: Actor, now: dt.datetime) -> None:
    """Back to the phase of the step that was decided."""
    move_rollback(rollback, PHASE_STATE[Phase(step.phase)], attention="", due_at=now)
    follow_rollback(
        incident_id=rollback.incident_id,
        to=IncidentStatus.ROLLBACK_INITIATED,
        summary=f"{rollback.ref} goes on",
        actor=actor,
        now=now,
    )
    wake_runner(rollback)


def _lock_for_decision(
    rollback_id: int, position: int, reason: str, actor: Actor, now: dt.datetime
) -> tuple[Rollback, RollbackStep]:
    require(actor, "decide_rollback")
    if not actor.is_person:
        raise NotAllowed("Only a person decides this, never a token.")
    if not reason.strip():
        raise Invalid({"reason": "Say why."})
    rollback = lock_rollback(rollback_id, actor)
    if refusal := why_no_decision(actor, rollback):
        raise NotAllowed(refusal)
    if rollback.state != RollbackState.NEEDS_ATTENTION:
        raise Conflict(
            f"{rollback.ref} is {rollback.state}: there is nothing to decide.", state=rollback.state
        )
    step = rollback.steps.filter(position=position).first()
    if step is None or not step.waits_for_a_decision:
        raise Conflict(
            f"Step {position} of {rollback.ref} does not wait for a decision.", state=rollback.state
        )
    require_assurance(actor, now)
    return rollback, step
