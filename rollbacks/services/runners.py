"""Noticing that nobody runs a due rollback, and waking those who could."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core import hints
from core.actors import SYSTEM
from rollbacks.models import Rollback
from rollbacks.selectors.progress import next_step
from rollbacks.selectors.runners import differences_of, list_left_alone, queues_to_wake
from rollbacks.services.endings import ask_for_a_person, end_rollback, lock_rollback
from rollbacks.states import RollbackState, StepState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_step


def wake_runner(rollback: Rollback) -> None:
    """Hint to the workers of the rollback's queue that it is due."""
    _wake(rollback.queue)


def look_after_queues(*, now: dt.datetime) -> int:
    """Wake the workers of queues with due work; tell people of rollbacks that no runner can run.

    Where no runner serves the queue, a person is paged, once while it lasts, and the rollback waits on.
    Where all that serve it have another version of the procedure, it has failed, or needs a person once
    something was changed. Returns how many were found.
    """
    for queue in queues_to_wake():
        _wake(queue)
    return sum(_tell(row.pk, now) for row in list_left_alone())


def _wake(queue: str) -> None:
    hints.wake("rollbacks.run_due", queue=f"runner.{queue}")


@transaction.atomic
def _tell(rollback_id: int, now: dt.datetime) -> bool:
    rollback = lock_rollback(rollback_id, SYSTEM)
    if rollback.pk not in [row.pk for row in list_left_alone()]:
        return False  # somebody has come since
    if differences := differences_of(rollback):
        _refuse(rollback, "; ".join(differences), now)
        return True
    if rollback.no_runner_at is not None:
        return False
    Rollback.objects.filter(pk=rollback.pk).update(no_runner_at=now)
    record_on_rollback(
        rollback,
        "rollback.no_runner",
        f"no runner for queue {rollback.queue}: it is due and waits until one is started",
        actor=SYSTEM,
        now=now,
        data={"queue": rollback.queue},
    )
    return True


def _refuse(rollback: Rollback, why: str, now: dt.datetime) -> None:
    step = next_step(rollback)
    if step is not None and step.state in (StepState.PENDING, StepState.WAITING):
        move_step(step, StepState.CANCELLED, finished_at=now, note=why[:500])
    if rollback.mutated_at is None:
        end_rollback(
            rollback, RollbackState.FAILED, f"not run: {why}; nothing was changed", actor=SYSTEM, now=now
        )
    else:
        ask_for_a_person(rollback, why, actor=SYSTEM, now=now)
