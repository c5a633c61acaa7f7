"""Running due checks: claim a batch, poll it concurrently, take the readings in."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Mapping

from django.db import connection

from core.errors import NotFound
from core.http import GuardedClient
from core.operation import vitals
from incidents.facts import Question, Reading
from incidents.services.monitors import observe
from incidents.sources import SOURCES
from incidents.states import FailureKind

logger = logging.getLogger(__name__)

BATCH = 200

# The next slot lies on the monitor's own grid; slots missed while nobody looked are skipped.
_CLAIM = """
UPDATE incidents_monitor m
   SET next_check_due_at = m.next_check_due_at + make_interval(secs => m.interval_seconds * (1 + floor(
           extract(epoch FROM clock_timestamp() - m.next_check_due_at) / m.interval_seconds)))
 WHERE m.id IN (SELECT id FROM incidents_monitor
                 WHERE enabled AND next_check_due_at <= clock_timestamp()
                 ORDER BY next_check_due_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING m.id, m.source, m.metric, m.interval_seconds
"""


def run_due_checks(*, now: dt.datetime) -> int:
    """Check every due monitor, a few hundred at a time; returns how many."""
    checked = 0
    while batch := _claim():
        readings = asyncio.run(_poll(batch))
        for monitor_id, reading in readings.items():
            try:
                vitals.progress()
                observe(monitor_id=monitor_id, reading=reading, now=now)
            except NotFound:
                logger.info("monitor %s was removed while it was checked", monitor_id)
        checked += len(batch)
        if len(batch) < BATCH:
            break
    return checked


def _claim() -> dict[int, Question]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [BATCH])
        rows = cursor.fetchall()
    return {pk: Question(json.loads(source), metric, interval) for pk, source, metric, interval in rows}


async def _poll(batch: Mapping[int, Question]) -> dict[int, Reading]:
    async with GuardedClient() as client:
        readings = await asyncio.gather(*(_read(client, asked) for asked in batch.values()))
    return dict(zip(batch, readings, strict=True))


async def _read(client: GuardedClient, asked: Question) -> Reading:
    _check, read = SOURCES[asked.source["type"]]
    try:
        return await read(client, asked)
    except Exception as error:  # one source's surprise must not spoil the batch
        logger.exception("the source %s failed unexpectedly", asked.source.get("type"))
        return Reading.failed(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
