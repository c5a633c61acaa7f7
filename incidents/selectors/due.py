"""Work of this app that has a due time: how much there is and how late, by the database's clock."""

from __future__ import annotations

from core.operation.facts import DueWork
from core.operation.gather import due_from
from incidents import policy
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
_REPORTS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due_at))::float FROM incidents_report r
 WHERE r.state <> 'published' AND r.overdue_at IS NULL AND r.due_at <= clock_timestamp()
   AND EXISTS (SELECT FROM incidents_incident i
                WHERE i.id = r.incident_id AND i.status = 'resolved' AND NOT i.drill)
"""
_REVIEWS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due))::float FROM (
    SELECT next_at AS due FROM incidents_reviewschedule WHERE next_at <= clock_timestamp()
    UNION ALL
    SELECT due_at FROM incidents_review
     WHERE state IN ('open', 'held') AND overdue_at IS NULL AND due_at <= clock_timestamp()) due
"""
_DOCUMENTS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due_at))::float
  FROM incidents_document WHERE active AND overdue_at IS NULL AND due_at <= clock_timestamp()
"""
_TRAINING = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due_at))::float FROM (
    SELECT t.due_at FROM incidents_trainingrecord t JOIN core_user u ON u.id = t.user_id AND u.is_active
     WHERE t.current AND t.overdue_at IS NULL AND t.due_at <= clock_timestamp() AND t.course = ANY(%s)
    UNION ALL
    SELECT due_at FROM incidents_awaitedtraining
     WHERE overdue_at IS NULL AND due_at <= clock_timestamp()) due
"""
_TASKS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due_at))::float
  FROM incidents_task WHERE state = 'open' AND overdue_at IS NULL AND due_at <= clock_timestamp()
"""
_PHASES = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(remind_at))::float
  FROM incidents_checklistitem
 WHERE ticked_at IS NULL AND remind_at IS NOT NULL AND remind_at <= clock_timestamp()
"""
_ACTION_ITEMS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(remind_at))::float
  FROM incidents_actionitem a
 WHERE remind_at IS NOT NULL AND remind_at <= clock_timestamp()
   AND NOT EXISTS (SELECT FROM incidents_incident i WHERE i.id = a.incident_id AND i.drill)
"""
_ALERTS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due_at))::float FROM incidents_inbounddelivery
 WHERE processed_at IS NULL AND parked_at IS NULL AND due_at <= clock_timestamp()
"""
_QUIET = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(due))::float FROM (
    SELECT held_until AS due FROM incidents_alert WHERE held_until <= clock_timestamp()
    UNION ALL
    SELECT ends_at FROM incidents_maintenancewindow
     WHERE looked_at IS NULL AND ends_at <= clock_timestamp()) ended
"""


def due_alerts() -> DueWork:
    """Deliveries of alerts that nobody has looked into."""
    return due_from(_ALERTS)


def due_quiet() -> DueWork:
    """Alerts held back, and services under maintenance, whose silence or window has ended."""
    return due_from(_QUIET)


def due_checks() -> DueWork:
    """Monitors whose check is due."""
    return due_from(_CHECKS)


def due_responses() -> DueWork:
    """Response clocks that ran out and were not marked as breached yet."""
    return due_from(_RESPONSES, [list(OPEN_STATUSES)])


def due_checklists() -> DueWork:
    """Items of checklists whose window ended and that nobody has looked at yet."""
    return due_from(_CHECKLISTS)


def due_tasks() -> DueWork:
    """Open tasks whose time has come and of which nobody has said so yet."""
    return due_from(_TASKS)


def due_reports() -> DueWork:
    """Reports whose due time has passed and of which nobody has said so yet."""
    return due_from(_REPORTS)


def due_phases() -> DueWork:
    """Items of checklists whose owners are to be reminded and were not yet."""
    return due_from(_PHASES)


def due_action_items() -> DueWork:
    """Action items whose owners are to be reminded and were not yet."""
    return due_from(_ACTION_ITEMS)


def due_reviews() -> DueWork:
    """Reviews that should have opened, and those past their time of which nobody has said so yet."""
    return due_from(_REVIEWS)


def due_documents() -> DueWork:
    """Documents whose review is due and of which nobody has said so yet."""
    return due_from(_DOCUMENTS)


def due_training() -> DueWork:
    """Training that has lapsed or was never done in time, and of which nobody has said so yet."""
    return due_from(_TRAINING, [list(policy.training().courses)])
