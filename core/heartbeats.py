"""Saying "this was done" and reading when it was."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import connection

_BEAT = """
INSERT INTO core_heartbeat (component, host, beat_at, seconds, note)
VALUES (%s, %s, clock_timestamp(), %s, %s)
ON CONFLICT (component, host) DO UPDATE
   SET beat_at = EXCLUDED.beat_at, note = EXCLUDED.note,
       seconds = coalesce(EXCLUDED.seconds, core_heartbeat.seconds)
"""


def beat(component: str, *, seconds: float | None = None, note: str = "") -> None:
    """Record that `component` of this host is done now, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, [component, settings.HOST_NAME, seconds, note[:300]])


def age(component: str) -> dt.timedelta | None:
    """How long ago any host last did `component`; None when never."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp() - max(beat_at) FROM core_heartbeat WHERE component = %s",
            [component],
        )
        value: dt.timedelta | None = cursor.fetchone()[0]
    return value
