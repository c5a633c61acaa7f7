"""What was measured over a span of time, thinned by the database to what a chart can show."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from incidents.models import Monitor
from incidents.rules.levels import FAILED
from incidents.rules.rollups import BUCKET

SLOTS = 300  # of a chart, at most
SPARK_SLOTS = 60
SPARK_SAMPLES = 360  # at most: of a monitor asked every second the last six minutes
HOUR = dt.timedelta(hours=1)
# The widths of a slot, from which the smallest is taken that gives no more than SLOTS.
STEPS = tuple(dt.timedelta(seconds=s) for s in (1, 2, 5, 15, 30, 60, 120, 300, 900, 1800, 3600, 7200, 10_800))
# Spans up to here are drawn from the samples themselves.
FINE = dt.timedelta(hours=6)

# Both laterals read an index from one end to the other of the span alone, however long the history is.
_FIRST = """
SELECT (SELECT rolled_up_to FROM incidents_rollupmark), min(first.at)
  FROM unnest(%(monitors)s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
       (SELECT at FROM incidents_sample
         WHERE monitor_id = wanted.id AND at BETWEEN %(start)s AND %(end)s ORDER BY at LIMIT 1)
       UNION ALL
       (SELECT start FROM incidents_rollup
         WHERE monitor_id = wanted.id AND start BETWEEN %(start)s AND %(end)s ORDER BY start LIMIT 1)
  ) first(at)
"""
_SERIES = """
SELECT wanted.id, max(found.at), sum(found.samples)::int, sum(found.measured)::int,
       sum(found.unanswered)::int, min(found.low), max(found.high), sum(found.total)
  FROM unnest(%(monitors)s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
       SELECT at, 1 AS samples, (value IS NOT NULL)::int AS measured,
              (outcome = ANY(%(failed)s::text[]))::int AS unanswered,
              value AS low, value AS high,
              CASE WHEN value IS NOT NULL THEN greatest(least(value, 1e290), -1e290) END AS total
         FROM incidents_sample
        WHERE monitor_id = wanted.id AND at BETWEEN greatest(%(start)s, %(fine_from)s) AND %(end)s
       UNION ALL
       SELECT start + %(half)s, samples, measured, unanswered, low, high, total
         FROM incidents_rollup
        WHERE monitor_id = wanted.id AND start < %(fine_from)s
          AND start BETWEEN %(start)s - %(half)s AND %(end)s - %(half)s) found
 GROUP BY wanted.id, date_bin(%(step)s, found.at, 'epoch')
 ORDER BY 1, 2
"""
# One row a monitor, of numbers: what a page of tiles needs are thousands of them, and times are dear to read.
_SPARKS = """
SELECT id, array_agg(at ORDER BY at), array_agg(mean ORDER BY at)
  FROM (SELECT wanted.id, max(thin.at) AS at, sum(thin.low) / nullif(count(thin.low), 0) AS mean
          FROM unnest(%(monitors)s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
               SELECT at, CASE WHEN value IS NOT NULL THEN greatest(least(value, 1e290), -1e290) END AS low,
                      floor(%(slots)s * (at - min(at) OVER ())
                            / greatest(%(end)s - min(at) OVER (), 1)) AS slot
                 FROM (SELECT extract(epoch FROM at)::float8 AS at, value FROM incidents_sample
                        WHERE monitor_id = wanted.id AND at BETWEEN %(from)s AND %(to)s
                        ORDER BY incidents_sample.at DESC LIMIT %(limit)s) newest) thin
         GROUP BY wanted.id, thin.slot) slots
 GROUP BY id
"""


@dataclass(frozen=True)
class Slot:
    """What was measured in one stretch of time; `at` is when the last of it was.

    `low`, `mean` and `high` are None where nothing had a value.
    """

    at: dt.datetime
    low: float | None
    mean: float | None
    high: float | None
    samples: int = 1
    unanswered: int = 0


@dataclass(frozen=True)
class Recent:
    """The last hour of one monitor: moments in seconds since 1970, and what was measured then, if it was."""

    at: Sequence[float]
    values: Sequence[float | None]


@dataclass(frozen=True)
class Series:
    """The slots of each monitor between two moments, none where nothing was measured."""

    start: dt.datetime
    end: dt.datetime
    step: dt.timedelta
    slots: Mapping[int, Sequence[Slot]]

    def last_value(self, monitor_id: int) -> float | None:
        """The newest value in it."""
        newest_first = reversed(self.slots.get(monitor_id, ()))
        return next((slot.mean for slot in newest_first if slot.mean is not None), None)


def series_of(
    monitors: Sequence[Monitor], *, start: dt.datetime, end: dt.datetime, now: dt.datetime
) -> Series:
    """What the monitors measured in a span (two queries whatever their number and history).

    Where nobody measured yet the series begins later: with the first of the monitors or samples.
    """
    asked: dict[str, Any] = {"monitors": [monitor.pk for monitor in monitors], "start": start, "end": end}
    mark, first = _first(asked)
    begun = [monitor.created_at for monitor in monitors] + ([first] if first else [])
    start = min(max(start, min(begun, default=start)), end - STEPS[0])
    step = next((step for step in STEPS if (end - start) / step <= SLOTS), STEPS[-1])
    asked |= {
        "start": start,
        "fine_from": _fine_from(start, end, now, mark),
        "step": step,
        "half": BUCKET / 2,
        "failed": [outcome.value for outcome in FAILED],
    }
    slots: dict[int, list[Slot]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_SERIES, asked)
        for monitor_id, at, samples, measured, unanswered, low, high, total in cursor.fetchall():
            mean = min(max(total / measured, low), high) if measured else None
            slots[monitor_id].append(Slot(at, low, mean, high, samples, unanswered))
    return Series(start, end, step, slots)


def recent_series(monitor_ids: Sequence[int], *, now: dt.datetime) -> dict[int, Recent]:
    """The last hour of each monitor in at most 60 slots, for a line as wide as a thumb (one query)."""
    asked: dict[str, Any] = {
        "monitors": list(monitor_ids),
        "from": now - HOUR,
        "to": now,
        "end": now.timestamp(),
        "slots": SPARK_SLOTS,
        "limit": SPARK_SAMPLES,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SPARKS, asked)
        return {monitor_id: Recent(at, values) for monitor_id, at, values in cursor.fetchall()}


def gap_after(interval_seconds: float, step: dt.timedelta) -> dt.timedelta:
    """How far apart two slots of a monitor may lie at most to be joined by a line.

    Checks do not come like clockwork: of slots about as wide as the interval one may hold two checks and
    the next none.
    """
    interval = dt.timedelta(seconds=interval_seconds)
    return interval * 1.75 if interval >= 2 * step else step + interval * 1.25


def _first(asked: Mapping[str, Any]) -> tuple[dt.datetime | None, dt.datetime | None]:
    with connection.cursor() as cursor:
        cursor.execute(_FIRST, asked)
        found: tuple[dt.datetime | None, dt.datetime | None] = cursor.fetchone()
    return found


def _fine_from(
    start: dt.datetime, end: dt.datetime, now: dt.datetime, mark: dt.datetime | None
) -> dt.datetime:
    """From when on samples are read and not their rollups: of short spans all, as long as they are kept."""
    if mark is None:
        return start
    kept = settings.RETENTION_SAMPLES_DAYS
    if end - start <= FINE and (not kept or start > now - dt.timedelta(days=kept)):
        return start
    return mark
