"""Undoing what was done, the last step first, where a procedure asks for it (`on_failure: compensate`)."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Q

from core.actors import SYSTEM
from rollbacks.executor import commands
from rollbacks.executor.acting import IsHeld, act
from rollbacks.executor.holding import hold
from rollbacks.models import Rollback, RollbackStep
from rollbacks.services.endings import ask_for_a_person, end_rollback
from rollbacks.states import UNSETTLED_STEPS, RollbackState, StepState
from rollbacks.transitions import move_step


def undo_next(rollback_id: int, fence: int, is_held: IsHeld, now: dt.datetime) -> bool:
    """Undo the last change that still stands; the rollback has failed clean when none does."""
    rollback = Rollback.objects.get(pk=rollback_id)
    step = _last_change(rollback)
    if step is None:
        return _all_undone(rollback_id, fence, now)
    if commands.acting(rollback, step).compensate_with is None:
        return _cannot_be_undone(rollback_id, fence, step, now)
    if not step.compensating:
        RollbackStep.objects.filter(pk=step.pk).update(compensating=True)
    return act(rollback_id, fence, step.pk, is_held)


def _last_change(rollback: Rollback) -> RollbackStep | None:
    """One that failed may have changed something before it did."""
    began = Q(state=StepState.SUCCEEDED) | Q(state__in=UNSETTLED_STEPS, attempt__gt=0)
    return rollback.steps.filter(began, mutating=True).order_by("-position").first()


@transaction.atomic
def _all_undone(rollback_id: int, fence: int, now: dt.datetime) -> bool:
    rollback = hold(rollback_id, fence)
    summary = f"{rollback.compensating}; all that was changed was put back"
    end_rollback(rollback, RollbackState.FAILED, summary, actor=SYSTEM, now=now)
    return False


@transaction.atomic
def _cannot_be_undone(rollback_id: int, fence: int, step: RollbackStep, now: dt.datetime) -> bool:
    """Nothing says how: a person decides, about the step that stands in the way."""
    rollback = hold(rollback_id, fence)
    step = rollback.steps.get(pk=step.pk)
    if step.state == StepState.SUCCEEDED:
        move_step(step, StepState.UNKNOWN, note="done, and nothing says how to undo it")
    why = f"{rollback.compensating}; “{step.name}” cannot be undone by itself"
    ask_for_a_person(rollback, why, actor=SYSTEM, now=now)
    return False
