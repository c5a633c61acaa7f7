"""Work of this app that has a due time: how much there is and how late, by the database's clock."""

from __future__ import annotations

from core.operation.facts import DueWork
from core.operation.gather import due_from
from rollbacks.states import RUNNING_STATES, RollbackState

# What nobody holds and could be taken up, and what a dead worker left in mid-step.
_ROLLBACKS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(greatest(due_at, lease_until)))::float
  FROM rollbacks_rollback
 WHERE state = ANY(%s) AND due_at <= clock_timestamp()
   AND (lease_until IS NULL OR lease_until <= clock_timestamp())
"""
_APPROVALS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(approval_expires_at))::float
  FROM rollbacks_rollback
 WHERE state = ANY(%s) AND approval_expires_at <= clock_timestamp()
   AND (lease_until IS NULL OR lease_until <= clock_timestamp())
"""

_DRILLS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due_at))::float
  FROM rollbacks_drill WHERE due_at <= clock_timestamp()
"""


def due_rollbacks() -> DueWork:
    """Rollbacks that a worker should have taken up, or flagged as lost."""
    return due_from(_ROLLBACKS, [[RollbackState.APPROVED, *RUNNING_STATES]])


def due_expiries() -> DueWork:
    """Rollbacks whose time to be approved, or to be begun, is over."""
    return due_from(_APPROVALS, [[RollbackState.AWAITING_APPROVAL, RollbackState.APPROVED]])


def due_drills() -> DueWork:
    """Drills to remind of, to begin, to move on or to end."""
    return due_from(_DRILLS, [])
