"""What a step's outcome means for its rollback."""

from __future__ import annotations

import datetime as dt
from typing import Any

from core.actors import SYSTEM
from rollbacks.models import Rollback, RollbackStep
from rollbacks.services.endings import ask_for_a_person, end_rollback
from rollbacks.states import RollbackState, StepState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_step


def finish_step(rollback: Rollback, step: RollbackStep, *, now: dt.datetime, **changes: Any) -> None:
    """The step has done what it should."""
    move_step(step, StepState.SUCCEEDED, finished_at=now, **changes)
    record_on_rollback(
        rollback,
        "rollback.step_succeeded",
        f"{step.name}: done",
        actor=SYSTEM,
        now=now,
        data={
            "position": step.position,
            "step": step.key,
            "phase": step.phase,
            "mutating": step.mutating,
        },
    )


def step_failed(rollback: Rollback, step: RollbackStep, *, now: dt.datetime) -> None:
    """A settled step that did not succeed: clean rollbacks end, changed ones wait for a person."""
    said = {
        StepState.FAILED: f"exit code {step.exit_code}" if step.exit_code is not None else step.note,
        StepState.TIMED_OUT: "took too long and was stopped",
        StepState.CANCELLED: "was stopped on request",
    }[StepState(step.state)]
    record_on_rollback(
        rollback,
        "rollback.step_failed",
        f"{step.name}: {said}",
        actor=SYSTEM,
        now=now,
        data={
            "position": step.position,
            "step": step.key,
            "phase": step.phase,
            "exit_code": step.exit_code,
        },
    )
    if rollback.mutated_at is not None:
        ask_for_a_person(rollback, f"“{step.name}” {said}", actor=SYSTEM, now=now)
    elif step.state == StepState.CANCELLED:
        who = rollback.cancel_requested_by
        end_rollback(
            rollback,
            RollbackState.CANCELLED,
            f"cancelled by {who}; nothing was changed",
            actor=SYSTEM,
            now=now,
        )
    else:
        end_rollback(
            rollback,
            RollbackState.FAILED,
            f"“{step.name}” {said}; nothing was changed",
            actor=SYSTEM,
            now=now,
        )
