"""What this app forgets."""

from __future__ import annotations

import datetime as dt

from core.retention import Old, execute

# At most this many of one monitor in a batch, so that a batch ends before it has read all monitors.
PER_MONITOR = 500

# By the index (monitor, at) that the charts have: no other index is written for every measurement.
_OLD = """
SELECT s.id FROM incidents_monitor m CROSS JOIN LATERAL (
    SELECT id FROM incidents_sample WHERE monitor_id = m.id AND at < %s
     ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED) s LIMIT %s
"""


class OldSamples:
    """Measurements of long ago; incidents, releases and levels keep what they meant."""

    def count(self, before: dt.datetime) -> int:
        """How many a run would forget."""
        return execute("SELECT count(*) FROM incidents_sample WHERE at < %s", before)

    def forget(self, before: dt.datetime, limit: int) -> int:
        """Delete one batch; returns how many it had."""
        return execute(
            f"DELETE FROM incidents_sample WHERE id IN ({_OLD})",  # noqa: S608
            before,
            min(limit, PER_MONITOR),
            limit,
        )


SAMPLES = OldSamples()
# What was delivered is forgotten once it was handled; what is parked waits for a person.
INBOUND = Old("incidents_inbounddelivery", "processed_at")
# By when it ended: an alert that fires is never old.
ALERTS = Old("incidents_alert", "ends_at")
