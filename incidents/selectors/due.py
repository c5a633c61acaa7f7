"""Work of this app that has a due time: how much there is and how late, by the database's clock."""

from __future__ import annotations

from core.operation.facts import DueWork
from core.operation.gather import due_from
from incidents.states import OPEN_STATUSES

_CHECKS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(next_check_due_at))::float
  FROM incidents_monitor WHERE enabled AND next_check_due_at <= clock_timestamp()
"""
_RESPONSES = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(response_due_at))::float
  FROM incidents_incident
 WHERE acknowledged_at IS NULL AND response_breached_at IS NULL AND response_due_at <= clock_timestamp()
   AND status = ANY(%s)
"""

_CHECKLISTS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due_at))::float
  FROM incidents_checklistitem
 WHERE ticked_at IS NULL AND lapsed_at IS NULL AND due_at <= clock_timestamp()
"""


def due_checks() -> DueWork:
    """Monitors whose check is due."""
    return due_from(_CHECKS)


def due_responses() -> DueWork:
    """Response clocks that ran out and were not marked as breached yet."""
    return due_from(_RESPONSES, [list(OPEN_STATUSES)])


def due_checklists() -> DueWork:
    """Items of checklists whose window ended and that nobody has looked at yet."""
    return due_from(_CHECKLISTS)
