"""Saying "I work" and reading who has said so."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import connection


def beat(component: str) -> None:
    """Record that `component` of this host works now, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_heartbeat (component, host, beat_at) VALUES (%s, %s, clock_timestamp())"
            " ON CONFLICT (component, host) DO UPDATE SET beat_at = EXCLUDED.beat_at",
            [component, settings.HOST_NAME],
        )


def age(component: str) -> dt.timedelta | None:
    """How long ago any host last said that `component` works; None when never."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp() - max(beat_at) FROM core_heartbeat WHERE component = %s",
            [component],
        )
        value: dt.timedelta | None = cursor.fetchone()[0]
    return value
