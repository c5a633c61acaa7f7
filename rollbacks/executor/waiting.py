"""The kinds that wait: a row with a time, looked at now and then; no worker is held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from django.db import transaction

from core import live
from core.actors import SYSTEM
from rollbacks.executor import commands
from rollbacks.executor.acting import give_back
from rollbacks.executor.holding import hold
from rollbacks.executor.outcomes import finish_step, settle_badly
from rollbacks.executor.soak import watch_soak
from rollbacks.models import Rollback, RollbackStep
from rollbacks.playbook import AssertStep, ConfirmStep, WaitStep
from rollbacks.rules.assertions import Judgement, judge
from rollbacks.selectors.assertions import measured_now
from rollbacks.states import SOAK, StepState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_step


@transaction.atomic
def wait(rollback_id: int, fence: int, step_id: int, now: dt.datetime) -> bool:
    """Let the time of the step pass."""
    rollback, step = _held(rollback_id, fence, step_id)
    said = commands.declared(rollback, step)
    assert isinstance(said, WaitStep)
    due = _begin(rollback, step, said.duration, now)
    if now < due:
        return give_back(rollback_id, fence, due)
    return finish_step(rollback, step, said=said, now=now)


@transaction.atomic
def confirm(rollback_id: int, fence: int, step_id: int, now: dt.datetime) -> bool:
    """Wait for a person's yes (services.confirmations gives it); without one it fails at its time."""
    rollback, step = _held(rollback_id, fence, step_id)
    said = commands.declared(rollback, step)
    assert isinstance(said, ConfirmStep)
    is_new = step.state == StepState.PENDING
    due = _begin(rollback, step, said.within, now)
    if is_new:
        record_on_rollback(
            rollback,
            "rollback.confirmation_asked",
            f"waits for a person: {said.question}",
            actor=SYSTEM,
            now=now,
            data={"position": step.position, "step": step.key, "question": said.question},
        )
    if now < due:
        return give_back(rollback_id, fence, due)
    return settle_badly(
        rollback, step, said=said, state=StepState.TIMED_OUT, now=now, note="nobody confirmed it in time"
    )


@transaction.atomic
def judge_assertion(rollback_id: int, fence: int, step_id: int, now: dt.datetime) -> bool:
    """Judge what is measured; again after a while where the step has attempts left."""
    rollback, step = _held(rollback_id, fence, step_id)
    said = commands.declared(rollback, step)
    assert isinstance(said, AssertStep)
    if step.due_at is not None and now < step.due_at:
        return give_back(rollback_id, fence, step.due_at)
    if step.state == StepState.PENDING:
        move_step(step, StepState.WAITING, started_at=now)
    RollbackStep.objects.filter(pk=step.pk).update(attempt=step.attempt + 1)
    step.refresh_from_db()
    verdict, reason = judge(said.that, measured_now(rollback.service, now=now), at_least=said.at_least)
    if verdict is Judgement.HOLDS:
        return finish_step(rollback, step, said=said, now=now, note=reason[:500])
    if step.attempt < said.attempts:
        due = now + dt.timedelta(seconds=said.backoff)
        RollbackStep.objects.filter(pk=step.pk).update(due_at=due, note=reason[:500])
        live.poke(f"rollback:{rollback.ref}")
        return give_back(rollback_id, fence, due)
    state = StepState.FAILED if verdict is Judgement.FAILS else StepState.UNKNOWN
    return settle_badly(rollback, step, said=said, state=state, now=now, note=reason[:500])


WaitingKind = Callable[[int, int, int, dt.datetime], bool]
WAITING_KINDS: Mapping[str, WaitingKind] = {
    "assert": judge_assertion,
    "confirm": confirm,
    SOAK: watch_soak,
    "wait": wait,
}


def _held(rollback_id: int, fence: int, step_id: int) -> tuple[Rollback, RollbackStep]:
    rollback = hold(rollback_id, fence)
    return rollback, rollback.steps.get(pk=step_id)


def _begin(rollback: Rollback, step: RollbackStep, seconds: float, now: dt.datetime) -> dt.datetime:
    """When the step is over; its time begins when it is first looked at."""
    if step.state == StepState.PENDING:
        due = now + dt.timedelta(seconds=seconds)
        move_step(step, StepState.WAITING, started_at=now, due_at=due, attempt=step.attempt + 1, note="")
        live.poke(f"rollback:{rollback.ref}", f"incident:{rollback.incident.ref}")
    assert step.due_at is not None
    return step.due_at
