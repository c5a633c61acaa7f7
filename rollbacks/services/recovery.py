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
    """Move rollbacks whose host is gone in mid-step to `needs_attention`, and expire stale requests.

    The lease is judged by the database's clock. A rollback whose worker alone died is not lost: another
    worker of its host takes it up (`run_due`), in mid-step too. Returns how many were found.
    """
    found = sum(_flag_lost(rollback_id, now) for rollback_id in _ids(_LOST, ADOPTION_SECONDS))
    return found + sum(_expire(rollback_id, now) for rollback_id in _ids(_UNAPPROVED))


_LOST = """
SELECT DISTINCT r.id FROM rollbacks_rollback r JOIN rollbacks_rollbackstep s ON s.rollback_id = r.id
 WHERE r.state IN ('validating', 'executing', 'verifying') AND s.state IN ('starting', 'running')
   AND (r.lease_until IS NULL OR r.lease_until <= clock_timestamp() - make_interval(secs => %s))
"""
_UNAPPROVED = """
SELECT id FROM rollbacks_rollback
 WHERE state = 'awaiting_approval' AND approval_expires_at <= clock_timestamp()
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
    if rollback.state != RollbackState.AWAITING_APPROVAL:
        return False
    end_rollback(rollback, RollbackState.EXPIRED, "nobody approved in time", actor=SYSTEM, now=now)
    return True


def _lease_is_over(rollback: Rollback) -> bool:
    if rollback.lease_until is None:
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT %s <= clock_timestamp() - make_interval(secs => %s)",
            [rollback.lease_until, ADOPTION_SECONDS],
        )
        return bool(cursor.fetchone()[0])
