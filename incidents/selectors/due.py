"""Work of this app that has a due time, and since when each piece of it is due, by the database's clock."""

from __future__ import annotations

from core.operation.facts import DueWork
from incidents import policy
from incidents.states import OPEN_STATUSES

SEARCH_EVENTS = 2_000  # are looked at, however many there are


def due_alerts() -> DueWork:
    """Deliveries of alerts that nobody has looked into."""
    return DueWork("""
        SELECT due_at FROM incidents_inbounddelivery
         WHERE processed_at IS NULL AND parked_at IS NULL AND due_at <= statement_timestamp()""")


def due_quiet() -> DueWork:
    """Alerts held back, and services under maintenance, whose silence or window has ended."""
    return DueWork("""
        SELECT held_until FROM incidents_alert WHERE held_until <= statement_timestamp()
        UNION ALL
        SELECT ends_at FROM incidents_maintenancewindow
         WHERE looked_at IS NULL AND ends_at <= statement_timestamp()""")


def due_checks() -> DueWork:
    """Monitors whose check is due."""
    return DueWork("""
        SELECT next_check_due_at FROM incidents_monitor
         WHERE enabled AND next_check_due_at <= statement_timestamp()""")


def due_responses() -> DueWork:
    """Response clocks that ran out and were not marked as breached yet."""
    return DueWork(
        """
        SELECT response_due_at FROM incidents_incident
         WHERE acknowledged_at IS NULL AND response_breached_at IS NULL
           AND response_due_at <= statement_timestamp() AND status = ANY(%s)""",
        (list(OPEN_STATUSES),),
    )


def due_checklists() -> DueWork:
    """Items of checklists whose window ended and that nobody has looked at yet."""
    return DueWork("""
        SELECT due_at FROM incidents_checklistitem
         WHERE ticked_at IS NULL AND lapsed_at IS NULL AND due_at <= statement_timestamp()""")


def due_tasks() -> DueWork:
    """Open tasks whose time has come and of which nobody has said so yet."""
    return DueWork("""
        SELECT due_at FROM incidents_task
         WHERE state = 'open' AND overdue_at IS NULL AND due_at <= statement_timestamp()""")


def due_reports() -> DueWork:
    """Reports whose due time has passed and of which nobody has said so yet."""
    return DueWork("""
        SELECT r.due_at FROM incidents_report r
          JOIN incidents_incident i ON i.id = r.incident_id AND NOT i.drill
           AND (i.status = 'resolved' OR (i.status = 'closed' AND r.published_at >= i.resolved_at))
         WHERE r.state <> 'published' AND r.overdue_at IS NULL AND r.due_at <= statement_timestamp()""")


def due_phases() -> DueWork:
    """Items of checklists whose owners are to be reminded and were not yet."""
    return DueWork("""
        SELECT remind_at FROM incidents_checklistitem
         WHERE ticked_at IS NULL AND remind_at <= statement_timestamp()""")


def due_action_items() -> DueWork:
    """Action items whose owners are to be reminded and were not yet."""
    return DueWork("""
        SELECT a.remind_at FROM incidents_actionitem a
         WHERE a.remind_at <= statement_timestamp()
           AND NOT EXISTS (SELECT FROM incidents_incident i WHERE i.id = a.incident_id AND i.drill)""")


def due_reviews() -> DueWork:
    """Reviews that should have opened, and those past their time of which nobody has said so yet."""
    return DueWork("""
        SELECT next_at FROM incidents_reviewschedule WHERE next_at <= statement_timestamp()
        UNION ALL
        SELECT due_at FROM incidents_review
         WHERE state IN ('open', 'held') AND overdue_at IS NULL AND due_at <= statement_timestamp()""")


def due_documents() -> DueWork:
    """Documents whose review is due and of which nobody has said so yet."""
    return DueWork("""
        SELECT due_at FROM incidents_document
         WHERE active AND overdue_at IS NULL AND due_at <= statement_timestamp()""")


def due_training() -> DueWork:
    """Training that has lapsed or was never done in time, and of which nobody has said so yet."""
    return DueWork(
        """
        SELECT greatest(t.due_at, t.recorded_at) FROM incidents_trainingrecord t
          JOIN core_user u ON u.id = t.user_id AND u.is_active
         WHERE t.current AND t.overdue_at IS NULL AND t.due_at <= statement_timestamp()
           AND t.course = ANY(%s)
        UNION ALL
        SELECT due_at FROM incidents_awaitedtraining
         WHERE overdue_at IS NULL AND due_at <= statement_timestamp()""",
        (list(policy.training().courses),),
    )


def due_search() -> DueWork:
    """Incidents to which something happened that the search has not read, since the first time it did.

    Beyond its mark alone: what an older incident still lacks is filled in by turns and late for nobody.
    """
    # No join: PostgreSQL takes the few events beyond the mark for many, and would read all incidents.
    return DueWork(
        """
        SELECT min(e.recorded_at)
          FROM (SELECT stream_id, recorded_at FROM core_event
                 WHERE id > coalesce((SELECT event FROM incidents_searchmark), 0)
                 ORDER BY id LIMIT %s) e
         WHERE (SELECT i.id FROM incidents_incident i WHERE i.stream_id = e.stream_id) IS NOT NULL
         GROUP BY e.stream_id""",
        (SEARCH_EVENTS,),
    )
