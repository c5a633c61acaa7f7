"""Rolling samples up: what the sweep does once an hour, and catches up with after an outage.

An hour of all monitors is rolled up in one transaction that holds the mark's row: two workers never do the
same hour, and a worker that dies leaves nothing half done. By then no sample of that hour can come any more
(`rules.rollups`), so nothing is ever rolled up twice; until then the charts read the samples themselves.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from django.db import connection, transaction

from core import shutdown
from core.operation import vitals
from incidents.rules.levels import FAILED
from incidents.rules.rollups import BUCKET, SPAN, settled_before
from incidents.states import MonitorLevel

# A sweep stops after this long; the rest is the next one's.
SWEEP_SECONDS = 20.0
MONITORS_AT_ONCE = 1_000

# No clock of a host decides what is over, only the database's.
_HOLD = """
SELECT rolled_up_to, least(clock_timestamp(), %s)
  FROM incidents_rollupmark WHERE id = 1 FOR UPDATE SKIP LOCKED
"""
_BEGIN = """
INSERT INTO incidents_rollupmark (id, rolled_up_to)
SELECT 1, date_trunc('hour', least(min(oldest.at), %s), 'UTC')
  FROM incidents_monitor m
  LEFT JOIN LATERAL (SELECT at FROM incidents_sample
                      WHERE monitor_id = m.id ORDER BY at LIMIT 1) oldest ON true
ON CONFLICT DO NOTHING
"""
# By the index (monitor, at) that the charts have. A sum must not overflow, whatever was measured,
# and the least of no value and a number is the number.
_ROLL = """
WITH chosen AS (
    SELECT id FROM incidents_monitor WHERE id > %(after)s AND removed_at IS NULL ORDER BY id LIMIT %(limit)s
), written AS (
    INSERT INTO incidents_rollup
           (monitor_id, start, samples, measured, unanswered, low, high, total, level)
    SELECT chosen.id, bucket.* FROM chosen CROSS JOIN LATERAL (
        SELECT date_bin(%(bucket)s, at, 'epoch'), count(*), count(value),
               count(*) FILTER (WHERE outcome = ANY(%(failed)s::text[])), min(value), max(value),
               sum(greatest(least(value, 1e290), -1e290)) FILTER (WHERE value IS NOT NULL),
               coalesce((%(levels)s::text[])[max(array_position(%(levels)s::text[], level::text))
                                     FILTER (WHERE value IS NOT NULL)], %(unknown)s)
          FROM incidents_sample
         WHERE monitor_id = chosen.id AND at >= %(start)s AND at < %(end)s
         GROUP BY 1) bucket
    ON CONFLICT (monitor_id, start) DO UPDATE
       SET samples = excluded.samples, measured = excluded.measured, unanswered = excluded.unanswered,
           low = excluded.low, high = excluded.high, total = excluded.total, level = excluded.level
     WHERE excluded.samples >= incidents_rollup.samples
    RETURNING 1
)
SELECT (SELECT max(id) FROM chosen), (SELECT count(*) FROM written)
"""
_LEVELS = [level.value for level in MonitorLevel if level is not MonitorLevel.UNKNOWN]


def roll_up(*, now: dt.datetime) -> int:
    """Roll up every hour that is over, the oldest first, 20 s at most; returns how many rows that gave."""
    deadline, made = time.monotonic() + SWEEP_SECONDS, 0
    while time.monotonic() < deadline and not shutdown.requested():
        rows = _roll_an_hour(now)
        if rows is None:
            break
        made += rows
    return made


@transaction.atomic
def _roll_an_hour(now: dt.datetime) -> int | None:
    """The next hour; None where none is over yet, or another worker is at it."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [now])
        held = cursor.fetchone()
        if held is None:
            cursor.execute(_BEGIN, [settled_before(now)])
            cursor.execute(_HOLD, [now])
            held = cursor.fetchone()
        if held is None or held[0] >= settled_before(held[1]):
            return None
        start, end, rows = held[0], held[0] + SPAN, 0
        after: int | None = 0
        while after is not None:
            vitals.progress()
            cursor.execute(_ROLL, _asked(start, end, after))
            after, made = cursor.fetchone()
            rows += made
        cursor.execute("UPDATE incidents_rollupmark SET rolled_up_to = %s WHERE id = 1", [end])
        return rows


def _asked(start: dt.datetime, end: dt.datetime, after: int) -> dict[str, Any]:
    return {
        "start": start,
        "end": end,
        "after": after,
        "limit": MONITORS_AT_ONCE,
        "bucket": BUCKET,
        "failed": [outcome.value for outcome in FAILED],
        "levels": _LEVELS,
        "unknown": MonitorLevel.UNKNOWN.value,
    }
