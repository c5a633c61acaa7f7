"""Finding rollbacks whose worker died, and requests that nobody approved in time."""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction

from core.actors import SYSTEM
from rollbacks.models import Rollback
from rollbacks.services.endings import ask_for_a_person, end_rollback, lock_rollback
from rollbacks.states import BUSY_STEPS, RUNNING_STATES, RollbackState, StepState
from rollbacks.transitions import move_step

ADOPTION_SECONDS = 15.0
"""How long after the end of a lease another worker of the same host has to take a running step up."""


def flag_lost_rollbacks(*, now: dt.datetime) -> int:
    """Move rollbacks whose host is gone in mid-step to `needs_attention`, and expire what nobody approved
    or began in time.

    The lease is judged by the database's clock. A rollback whose worker alone died is not lost: another
    worker of its host takes it up (`run_due`), in mid-step too. Returns how many were found.
    """
    found = sum(_flag_lost(rollback_id, now) for rollback_id in _ids(_LOST, ADOPTION_SECONDS))
    return found + sum(_expire(rollback_id, now) for rollback_id in _ids(_EXPIRED))


_LOST = """
SELECT DISTINCT r.id FROM rollbacks_rollback r JOIN rollbacks_rollbackstep s ON s.rollback_id = r.id
 WHERE r.state IN ('validating', 'executing', 'verifying') AND s.state IN ('starting', 'running')
   AND (r.lease_until IS NULL OR r.lease_until <= clock_timestamp() - make_interval(secs => %s))
"""
# An approved one that a worker holds is begun or refused by that worker.
_EXPIRED = """
SELECT id FROM rollbacks_rollback
 WHERE state IN ('awaiting_approval', 'approved') AND approval_expires_at <= clock_timestamp()
   AND (lease_until IS NULL OR lease_until <= clock_timestamp())
"""


def _ids(query: str, *values: float) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [row[0] for row in cursor.fetchall()]


@transaction.atomic
def _flag_lost(rollback_id: int, now: dt.datetime) -> bool:
    rollback = lock_rollback(rollback_id, SYSTEM)
    if rollback.state not in RUNNING_STATES or not _lease_is_over(rollback):
        return False
    step = rollback.steps.filter(state__in=BUSY_STEPS).first()
    if step is None:
        return False
    where = f" on {step.host}" if step.host else ""
    move_step(step, StepState.UNKNOWN, finished_at=now, note=f"The worker{where} died while this step ran.")
    # A higher fence first: the lost worker, should it wake, can write nothing any more.
    Rollback.objects.filter(pk=rollback.pk).update(fence=rollback.fence + 1)
    rollback.refresh_from_db()
    ask_for_a_person(
        rollback,
        f"the worker{where} died while “{step.name}” ran, and no other one of that host takes it up:"
        " nobody knows whether it took effect",
        actor=SYSTEM,
        now=now,
    )
    return True


@transaction.atomic
def _expire(rollback_id: int, now: dt.datetime) -> bool:
    rollback = lock_rollback(rollback_id, SYSTEM)
    why = {
        RollbackState.AWAITING_APPROVAL: "it was not approved in time",
        RollbackState.APPROVED: "it was approved, and no worker began it in time",
    }.get(RollbackState(rollback.state))
    if why is None or not _is_over(rollback.approval_expires_at) or not _is_over(rollback.lease_until):
        return False
    end_rollback(rollback, RollbackState.EXPIRED, why, actor=SYSTEM, now=now)
    return True


def _lease_is_over(rollback: Rollback) -> bool:
    return _is_over(rollback.lease_until, ADOPTION_SECONDS)


def _is_over(at: dt.datetime | None, since_seconds: float = 0.0) -> bool:
    """Whether a time has passed by the database's clock; none is over from the start."""
    if at is None:
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s <= clock_timestamp() - make_interval(secs => %s)", [at, since_seconds])
        return bool(cursor.fetchone()[0])
