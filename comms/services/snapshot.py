"""Saying that the status page on disk is out of date; comms.publishing.snapshot writes it."""

from __future__ import annotations

import datetime as dt

from django.db import connection

from core import hints

SWEEP = "comms.sweep_status_page"

_WANT = """
INSERT INTO comms_statussnapshot (id, due_at, last_error) VALUES (1, %(now)s, '')
ON CONFLICT (id) DO UPDATE SET due_at = LEAST(comms_statussnapshot.due_at, excluded.due_at)
"""


def want_snapshot(*, now: dt.datetime) -> None:
    """Write the page to disk as soon as this transaction has committed."""
    with connection.cursor() as cursor:
        cursor.execute(_WANT, {"now": now})
    hints.wake(SWEEP)
