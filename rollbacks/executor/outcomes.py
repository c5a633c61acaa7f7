"""What a step's outcome means for its rollback. Each returns whether the worker should go on with it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from core.actors import SYSTEM
from rollbacks.models import Rollback, RollbackStep
from rollbacks.playbook import AnyStep
from rollbacks.services.endings import ask_for_a_person, end_rollback
from rollbacks.states import RollbackState, StepState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_step


def finish_step(
    rollback: Rollback, step: RollbackStep, *, said: AnyStep, now: dt.datetime, **changes: Any
) -> bool:
    """The step has done what it should; a compensation has undone it."""
    undone = step.compensating
    to = StepState.COMPENSATED if undone else StepState.SUCCEEDED
    move_step(step, to, finished_at=now, due_at=None, memory={}, compensating=False, **changes)
    record_on_rollback(
        rollback,
        "rollback.step_compensated" if undone else "rollback.step_succeeded",
        f"{step.name}: {'undone' if undone else 'done'}" + (f" ({step.note})" if step.note else ""),
        actor=SYSTEM,
        now=now,
        data={**_facts(step), "mutating": step.mutating},
    )
    return True


def skip_step(rollback: Rollback, step: RollbackStep, *, said: AnyStep, now: dt.datetime, note: str) -> bool:
    """There is nothing to do in it."""
    move_step(step, StepState.SKIPPED, finished_at=now, note=note)
    record_on_rollback(
        rollback,
        "rollback.step_skipped",
        f"{step.name}: skipped, {note}",
        actor=SYSTEM,
        now=now,
        data=_facts(step),
    )
    return True


def rehearse_step(
    rollback: Rollback, step: RollbackStep, *, said: AnyStep, now: dt.datetime, note: str, output_tail: str
) -> bool:
    """A drill has shown what would have run."""
    move_step(
        step,
        StepState.REHEARSED,
        attempt=step.attempt + 1,
        started_at=now,
        finished_at=now,
        note=note,
        output_tail=output_tail,
    )
    record_on_rollback(
        rollback,
        "rollback.step_rehearsed",
        f"{step.name}: rehearsed, nothing was done",
        actor=SYSTEM,
        now=now,
        data=_facts(step),
    )
    return True


def try_again(
    rollback: Rollback,
    step: RollbackStep,
    *,
    said: AnyStep,
    now: dt.datetime,
    after_seconds: float,
    **changes: Any,
) -> bool:
    """It failed, may be repeated, and has attempts left: it waits for its next one."""
    due = now + dt.timedelta(seconds=after_seconds)
    move_step(step, StepState.PENDING, finished_at=None, due_at=due, memory={}, **changes)
    record_on_rollback(
        rollback,
        "rollback.step_retried",
        f"{step.name}: attempt {step.attempt} {_said(step, StepState.FAILED)}; again in {after_seconds:g} s",
        actor=SYSTEM,
        now=now,
        data=_facts(step),
    )
    return True


def settle_badly(
    rollback: Rollback,
    step: RollbackStep,
    *,
    said: AnyStep,
    state: StepState,
    now: dt.datetime,
    **changes: Any,
) -> bool:
    """The step did not succeed: go on without it, undo what was done, end clean, or ask a person."""
    goes_on = said.on_failure == "continue" and state in (StepState.FAILED, StepState.TIMED_OUT)
    move_step(step, state, finished_at=now, due_at=None, memory={}, tolerated=goes_on, **changes)
    why = f"“{step.name}” {_said(step, state)}"
    record_on_rollback(
        rollback,
        "rollback.step_failed",
        f"{step.name}: {_said(step, state)}" + ("; the rollback goes on" if goes_on else ""),
        actor=SYSTEM,
        now=now,
        data={**_facts(step), "exit_code": step.exit_code, "tolerated": goes_on},
    )
    if goes_on:
        return True
    undoes = said.on_failure == "compensate" and not rollback.drill  # a drill has nothing to undo
    if undoes and not rollback.compensating and state is not StepState.UNKNOWN:
        return _begin_to_undo(rollback, why, now)
    if rollback.mutated_at is not None or state is StepState.UNKNOWN:
        ask_for_a_person(rollback, why, actor=SYSTEM, now=now)
    elif state is StepState.CANCELLED:
        who = rollback.cancel_requested_by
        summary = f"cancelled by {who}; nothing was changed"
        end_rollback(rollback, RollbackState.CANCELLED, summary, actor=SYSTEM, now=now)
    else:
        end_rollback(rollback, RollbackState.FAILED, f"{why}; nothing was changed", actor=SYSTEM, now=now)
    return False


def _begin_to_undo(rollback: Rollback, why: str, now: dt.datetime) -> bool:
    Rollback.objects.filter(pk=rollback.pk).update(compensating=why)
    record_on_rollback(
        rollback,
        "rollback.compensating",
        f"{why}: what was done is being undone, the last step first",
        actor=SYSTEM,
        now=now,
    )
    return True


def _facts(step: RollbackStep) -> dict[str, Any]:
    return {"position": step.position, "step": step.key, "phase": step.phase, "attempt": step.attempt}


def _said(step: RollbackStep, state: StepState) -> str:
    if state is StepState.FAILED and not step.note and step.exit_code is not None:
        return f"failed with exit code {step.exit_code}"
    words = {
        StepState.FAILED: "failed",
        StepState.TIMED_OUT: "took too long and was stopped",
        StepState.CANCELLED: "was stopped on request",
        StepState.UNKNOWN: "may or may not have taken effect: nobody knows",
    }[state]
    return f"{words} ({step.note})" if step.note else words
