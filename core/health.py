"""Is Firebreak itself well? Read from the database: heartbeats and the oldest overdue work."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

WORKING_WITHIN_SECONDS = 30


@dataclass(frozen=True)
class Banner:
    """A line at the top of every page. `level` is "ok", "warning" or "critical"."""

    level: str
    icon: str
    text: str
    detail: str = ""


_STATE = """
SELECT extract(epoch FROM clock_timestamp() - max(beat_at) FILTER (WHERE component = 'sweeps')),
       extract(epoch FROM clock_timestamp() - max(beat_at) FILTER (WHERE component = 'watchdog.rescue')),
       (SELECT count(*) FROM core_pendingevent WHERE parked_at IS NOT NULL)
  FROM core_heartbeat
"""


def banners() -> tuple[Banner, ...]:
    """What a person looking at any page must know about Firebreak itself (one query)."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE)
        sweeps_age, rescue_age, parked = cursor.fetchone()
    found = []
    if rescue_age is not None and rescue_age < WORKING_WITHIN_SECONDS:
        found.append(
            Banner(
                "warning",
                "wrench-screwdriver",
                "The watchdog is doing overdue work itself",
                "Workers or broker are behind; nothing is lost, some things are later by seconds.",
            )
        )
    elif sweeps_age is None or sweeps_age > WORKING_WITHIN_SECONDS:
        found.append(
            Banner(
                "critical",
                "exclamation-triangle",
                "Firebreak's background work has stopped",
                "No worker has reported for 30 seconds: checks, messages and rollbacks wait.",
            )
        )
    if parked:
        found.append(
            Banner(
                "critical",
                "exclamation-triangle",
                f"{parked} event(s) could not be handled and are parked",
                "See the pending events in the admin.",
            )
        )
    return tuple(found)
