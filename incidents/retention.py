"""What this app forgets."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from core.retention import Old, execute

# At most this many of one monitor in a batch, so that a batch ends before it has read all monitors.
PER_MONITOR = 500


@dataclass(frozen=True)
class OldOfMonitors:
    """Rows that belong to monitors, found by the index (monitor, time) that the charts have: no other
    index is written for every measurement. `latest` is SQL for a moment that rows must lie before, too."""

    table: str
    column: str
    latest: str = "'infinity'::timestamptz"

    def count(self, before: dt.datetime) -> int:
        """How many a run would forget."""
        return execute(
            f"SELECT count(*) FROM {self.table} WHERE {self.column} < least(%s, {self.latest})",  # noqa: S608
            before,
        )

    def forget(self, before: dt.datetime, limit: int) -> int:
        """Delete one batch; returns how many it had."""
        old = f"""
            SELECT old.place FROM incidents_monitor m CROSS JOIN LATERAL (
                SELECT ctid AS place FROM {self.table}
                 WHERE monitor_id = m.id AND {self.column} < least(%s, {self.latest})
                 ORDER BY {self.column} LIMIT %s FOR UPDATE SKIP LOCKED) old LIMIT %s"""  # noqa: S608
        return execute(
            f"DELETE FROM {self.table} WHERE ctid = ANY(ARRAY({old}))",  # noqa: S608
            before,
            min(limit, PER_MONITOR),
            limit,
        )


# A sample goes only after it was rolled up: before the first time that is never.
SAMPLES = OldOfMonitors(
    "incidents_sample",
    "at",
    latest="coalesce((SELECT rolled_up_to FROM incidents_rollupmark), '-infinity'::timestamptz)",
)
ROLLUPS = OldOfMonitors("incidents_rollup", "start")
# What was delivered is forgotten once it was handled; what is parked waits for a person.
INBOUND = Old("incidents_inbounddelivery", "processed_at")
# By when it ended: an alert that fires is never old.
ALERTS = Old("incidents_alert", "ends_at")
