"""How far a rollback has come."""

from __future__ import annotations

from django.db.models import Q

from rollbacks.models import Rollback, RollbackStep
from rollbacks.states import DONE_STEPS, StepState


def next_step(rollback: Rollback) -> RollbackStep | None:
    """The first step that is neither done nor passed over; None when all are."""
    behind = Q(state__in=DONE_STEPS) | Q(tolerated=True)
    return rollback.steps.exclude(behind).order_by("position").first()


def has_switched(rollback: Rollback) -> bool:
    """Whether the target version is live now because of this rollback.

    A procedure may name the step that switches; where it names none, all of its execution does.
    """
    if rollback.returns != "version" or rollback.drill:
        return False
    switch = rollback.steps.filter(switches=True).first()
    if switch is None:
        return True
    was_so_already = switch.state == StepState.SKIPPED and switch.attempt > 0
    return switch.state == StepState.SUCCEEDED or was_so_already
