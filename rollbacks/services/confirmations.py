"""The yes of a person that a `confirm` step waits for."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import Conflict, NotAllowed
from rollbacks.models import Rollback
from rollbacks.selectors.confirmations import why_no_confirmation
from rollbacks.services.endings import lock_rollback
from rollbacks.services.runners import wake_runner
from rollbacks.states import CONFIRM, StepState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_step


@transaction.atomic
def confirm_step(
    *, rollback_id: int, position: int, actor: Actor, now: dt.datetime, note: str = ""
) -> Rollback:
    """A person answers the step's question with yes: the rollback goes on.

    Raises NotAllowed, or Conflict when the step waits for nobody, or not any more.
    """
    require(actor, "decide_rollback")
    if not actor.is_person:
        raise NotAllowed("Only a person confirms a step, never a token.")
    rollback = lock_rollback(rollback_id, actor)
    step = rollback.steps.filter(position=position, kind=CONFIRM).first()
    if step is None or step.state != StepState.WAITING:
        raise Conflict(f"Step {position} of {rollback.ref} waits for no confirmation.", state=rollback.state)
    if refusal := why_no_confirmation(actor, rollback, step):
        raise NotAllowed(refusal)
    if step.due_at is not None and step.due_at <= now:
        raise Conflict(f"Nobody confirmed “{step.name}” in time.", state=rollback.state)
    require_assurance(actor, now)
    said = f"confirmed by {actor.label}" + (f": {note}" if note else "")
    move_step(step, StepState.SUCCEEDED, note=said[:500], finished_at=now, due_at=None)
    Rollback.objects.filter(pk=rollback.pk).update(due_at=now)
    rollback.refresh_from_db()
    record_on_rollback(
        rollback,
        "rollback.step_confirmed",
        f"{step.name} {said}",
        actor=actor,
        now=now,
        data={"position": step.position, "step": step.key, "note": note[:500]},
    )
    wake_runner(rollback)
    return rollback
