"""This app's numbers for /metrics, by queries over open incidents alone."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection
from prometheus_client import Metric

from core.operation.metrics import gauge, gauges
from incidents.states import OPEN_STATUSES, UNFINISHED, Severity

_OPEN = """
SELECT severity, count(*),
       extract(epoch FROM clock_timestamp() - min(declared_at) FILTER (WHERE acknowledged_at IS NULL))::float
  FROM incidents_incident WHERE status = ANY(%s) AND NOT drill GROUP BY severity
"""
_ALERTS = """
SELECT CASE WHEN severity = '' THEN 'none' ELSE severity END, count(*)
  FROM incidents_alert WHERE status <> 'resolved' GROUP BY severity
"""
_INBOUND = """
SELECT (SELECT count(*) FROM incidents_inbounddelivery WHERE processed_at IS NULL AND parked_at IS NULL),
       (SELECT count(*) FROM incidents_inbounddelivery WHERE parked_at IS NOT NULL)
"""
_ACTION_ITEMS = """
SELECT count(*), count(*) FILTER (WHERE due_on < (clock_timestamp() AT TIME ZONE 'UTC')::date)
  FROM incidents_actionitem a
 WHERE state = ANY(%s)
   AND NOT EXISTS (SELECT FROM incidents_incident i WHERE i.id = a.incident_id AND i.drill)
"""


def collect() -> Iterator[Metric]:
    """Open incidents; drills stay out of the figures."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [list(OPEN_STATUSES)])
        rows = cursor.fetchall()
        cursor.execute(_ALERTS)
        firing = dict(cursor.fetchall())
        cursor.execute(_INBOUND)
        waiting, parked = cursor.fetchone()
        cursor.execute(_ACTION_ITEMS, [list(UNFINISHED)])
        items, items_overdue = cursor.fetchone()
    counts = {severity: count for severity, count, _oldest in rows}
    yield gauges(
        "firebreak_open_incidents",
        "Open incidents, drills left out.",
        "severity",
        ((severity, float(counts.get(severity, 0))) for severity in Severity.values),
    )
    unacknowledged = [oldest for _severity, _count, oldest in rows if oldest is not None]
    yield gauge(
        "firebreak_oldest_unacknowledged_incident_age_seconds",
        "Since the oldest incident that nobody acknowledged was declared; 0 when there is none.",
        max(unacknowledged, default=0.0),
    )
    yield gauges(
        "firebreak_firing_alerts",
        "Alerts that have not ended, by the severity that the playbook gives them.",
        "severity",
        ((severity, float(firing.get(severity, 0))) for severity in (*Severity.values, "none")),
    )
    yield gauge(
        "firebreak_inbound_deliveries_waiting", "Deliveries of alerts that nobody has looked into.", waiting
    )
    yield gauge(
        "firebreak_inbound_deliveries_parked",
        "Deliveries of alerts that could not be handled and wait for a person.",
        parked,
    )
    yield gauge("firebreak_open_action_items", "Action items that are not finished, drills left out.", items)
    yield gauge(
        "firebreak_overdue_action_items",
        "Action items that are not finished and whose due day has ended, in UTC; drills left out.",
        items_overdue,
    )
