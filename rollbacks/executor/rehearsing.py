"""Drills: what one shows instead of doing it, and the wall between a drill and production."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.errors import FirebreakError
from rollbacks.executor import commands
from rollbacks.executor.holding import hold
from rollbacks.executor.outcomes import rehearse_step
from rollbacks.executor.streaming import keep_text
from rollbacks.facts import ActingStep
from rollbacks.models import Rollback, RollbackStep
from rollbacks.playbook import AnyStep, SoakStep, WaitStep


class DrillMayNotAct(FirebreakError):
    """A step that is not marked safe came as far as its effect although the rollback is a drill."""

    code = "drill_may_not_act"
    status = 409


def is_only_rehearsed(said: AnyStep) -> bool:
    """Whether a drill shows the step instead of doing it; people confirm for real: that is the practice."""
    if isinstance(said, ActingStep):
        return not said.safe_in_drill
    return isinstance(said, SoakStep | WaitStep)


@transaction.atomic
def rehearse(rollback_id: int, fence: int, step_id: int, now: dt.datetime) -> bool:
    """Show what would have run; returns whether to go on."""
    rollback = hold(rollback_id, fence)
    step = rollback.steps.get(pk=step_id)
    commands.check_playbook(rollback)
    said = commands.declared(rollback, step)
    shown, note = "", "Rehearsed: for real this would run."
    if isinstance(said, ActingStep):
        shown = f"{commands.text_for_reading(rollback, step)}\n"
    elif isinstance(said, SoakStep | WaitStep):
        what = "watch the service for" if isinstance(said, SoakStep) else "wait"
        note = f"Rehearsed: for real this would {what} {said.duration:g} s."
    go_on = rehearse_step(rollback, step, said=said, now=now, note=note, output_tail=shown)
    keep_text(step, shown)
    return go_on


def keep_out_of_production(rollback: Rollback, step: RollbackStep, said: ActingStep) -> None:
    """Raise DrillMayNotAct unless a drill may do this step: asked once more right before every effect.

    What the step was when it was requested counts as much as what this worker's playbook says of it.
    """
    harmless = said.safe_in_drill and not (said.mutating or said.switches)
    if rollback.drill and not (harmless and not (step.mutating or step.switches or step.compensating)):
        raise DrillMayNotAct(f"A drill must not do “{step.name}”: it may change something.")
