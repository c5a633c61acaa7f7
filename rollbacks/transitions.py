"""The only writers of a rollback's, a step's and a drill's state, by compare-and-set."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from core.errors import Conflict, IllegalMove
from rollbacks.models import Drill, Rollback, RollbackStep
from rollbacks.states import DRILL_MOVES, MOVES, STEP_MOVES, DrillState, RollbackState, StepState


class StaleWorker(Conflict):
    """Another worker has taken this rollback over: this one must stop and write nothing."""

    code = "stale_worker"


def move_rollback(rollback: Rollback, to: RollbackState, **changes: Any) -> None:
    """Move a rollback to `to` with further column changes; raises IllegalMove or StaleWorker."""
    now_in = RollbackState(rollback.state)
    if to not in MOVES[now_in]:
        raise IllegalMove(
            f"{rollback.ref} is {now_in.label.lower()}: it cannot become {to.label.lower()}.",
            state=now_in,
        )
    updated = Rollback.objects.filter(
        pk=rollback.pk, state=now_in, version=rollback.version, fence=rollback.fence
    ).update(state=to, version=F("version") + 1, **changes)
    if not updated:
        raise StaleWorker(f"{rollback.ref} was changed by somebody else.", state=now_in)
    rollback.refresh_from_db()


def move_step(step: RollbackStep, to: StepState, **changes: Any) -> None:
    """Move a step to `to`; raises IllegalMove, or StaleWorker when it has moved meanwhile."""
    now_in = StepState(step.state)
    if to not in STEP_MOVES[now_in]:
        raise IllegalMove(
            f"Step {step.position} is {now_in.label.lower()}: it cannot become {to.label.lower()}.",
            state=now_in,
        )
    updated = RollbackStep.objects.filter(pk=step.pk, state=now_in, attempt=step.attempt).update(
        state=to, **changes
    )
    if not updated:
        raise StaleWorker(f"Step {step.position} was changed by somebody else.", state=now_in)
    step.refresh_from_db()


def move_drill(drill: Drill, to: DrillState, **changes: Any) -> None:
    """Move a locked drill to `to` with further column changes; raises IllegalMove."""
    now_in = DrillState(drill.state)
    if to not in DRILL_MOVES[now_in]:
        raise IllegalMove(
            f"The drill is {now_in.label.lower()}: it cannot become {to.label.lower()}.", state=now_in
        )
    updated = Drill.objects.filter(pk=drill.pk, state=now_in, version=drill.version).update(
        state=to, version=F("version") + 1, **changes
    )
    if not updated:
        raise Conflict("The drill was changed by somebody else.", state=now_in)
    drill.refresh_from_db()
