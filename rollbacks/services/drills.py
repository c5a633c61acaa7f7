"""A real rollback goes before a drill of the same service."""

from __future__ import annotations

import datetime as dt

from django.db.models import F

from core.actors import SYSTEM, Actor
from rollbacks.models import Rollback
from rollbacks.services.endings import end_rollback, lock_rollback
from rollbacks.states import BUSY_STEPS, END_STATES, RollbackState, StepState
from rollbacks.transitions import move_step


def preempt_drill(by: Rollback, *, actor: Actor, now: dt.datetime) -> Rollback | None:
    """End the live drill of the service that `by`, a real rollback, is about; returns the drill.

    Called in the transaction that brings `by`, which holds its service and its incident. Two incidents
    are locked then, the real one before the drill's wherever it happens: nobody waits in a circle.
    A step of the drill that runs now is harmless by definition: its worker is told to stop it, and can
    write nothing any more.
    """
    drill_id = (
        Rollback.objects.live().filter(service=by.service_id, drill=True).values_list("pk", flat=True).first()
    )
    if drill_id is None:
        return None
    why = f"pre-empted by {by.told_name}"
    return stop_rehearsal(drill_id, why, actor=actor, now=now, by=by.told_name, kind="rollback.preempted")


def stop_rehearsal(
    rollback_id: int, why: str, *, actor: Actor, now: dt.datetime, by: str, kind: str = "rollback.cancelled"
) -> Rollback | None:
    """End a live rollback of a drill at once, whatever it does; None where it has ended by itself."""
    drill = lock_rollback(rollback_id, SYSTEM)
    if drill.state in END_STATES:
        return None
    assert drill.drill, "a real rollback is never stopped like this"
    for step in drill.steps.filter(state__in=(*BUSY_STEPS, StepState.WAITING)):
        move_step(step, StepState.CANCELLED, finished_at=now, note=why)
    Rollback.objects.filter(pk=drill.pk).update(
        fence=F("fence") + 1, cancel_requested_at=now, cancel_requested_by=by[:200]
    )
    drill.refresh_from_db()
    end_rollback(drill, RollbackState.CANCELLED, why, actor=actor, now=now, kind=kind)
    return drill
