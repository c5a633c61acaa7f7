"""Work of this app that has a due time, and since when each piece of it is due, by the database's clock."""

from __future__ import annotations

from core.operation.facts import DueWork
from rollbacks.states import RUNNING_STATES, RollbackState


def due_rollbacks() -> DueWork:
    """Rollbacks that a worker should have taken up, or flagged as lost: nobody holds them, or whoever did
    died in mid-step.
    """
    return DueWork(
        """
        SELECT greatest(due_at, lease_until) FROM rollbacks_rollback
         WHERE state = ANY(%s) AND due_at <= statement_timestamp()
           AND (lease_until IS NULL OR lease_until <= statement_timestamp())""",
        ([RollbackState.APPROVED, *RUNNING_STATES],),
    )


def due_expiries() -> DueWork:
    """Rollbacks whose time to be approved, or to be begun, is over."""
    return DueWork(
        """
        SELECT approval_expires_at FROM rollbacks_rollback
         WHERE state = ANY(%s) AND approval_expires_at <= statement_timestamp()
           AND (lease_until IS NULL OR lease_until <= statement_timestamp())""",
        ([RollbackState.AWAITING_APPROVAL, RollbackState.APPROVED],),
    )


def due_drills() -> DueWork:
    """Drills to remind of, to begin, to move on or to end."""
    return DueWork("SELECT due_at FROM rollbacks_drill WHERE due_at <= statement_timestamp()")
