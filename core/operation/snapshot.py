"""Looking after Firebreak every ten seconds, so that every page can say what was found by one query."""

from __future__ import annotations

import json
from dataclasses import asdict

from django.conf import settings
from django.db import connection, transaction

from core import live
from core.operation.facts import Trouble
from core.operation.gather import list_troubles
from core.operation.vitals import Vitals

# Who has only just started does not know yet who else is about to.
SETTLING_SECONDS = 25.0

_BEFORE = """
SELECT troubles, extract(epoch FROM clock_timestamp() - taken_at) FROM core_healthsnapshot WHERE id = 1
"""
_WRITE = """
INSERT INTO core_healthsnapshot (id, taken_at, taken_by, troubles, troubled_at)
VALUES (1, clock_timestamp(), %(by)s, %(troubles)s, CASE WHEN %(bad)s THEN clock_timestamp() END)
ON CONFLICT (id) DO UPDATE
   SET taken_at = EXCLUDED.taken_at, taken_by = EXCLUDED.taken_by, troubles = EXCLUDED.troubles,
       troubled_at = coalesce(EXCLUDED.troubled_at, core_healthsnapshot.troubled_at)
"""


def look_after(vitals: Vitals) -> tuple[Trouble, ...]:
    """The duty of web and watchdog: judge, write the snapshot, tell open pages when it changed.

    In its first seconds a process reports no missing process, and only when nobody else looks.
    """
    troubles = list_troubles()
    if vitals.uptime_seconds < SETTLING_SECONDS:
        troubles = tuple(trouble for trouble in troubles if not _may_be_starting(trouble))
        if _somebody_looks():
            return troubles
    write_snapshot(troubles, by=f"{vitals.name} on {settings.HOST_NAME}")
    return troubles


@transaction.atomic
def write_snapshot(troubles: tuple[Trouble, ...], *, by: str) -> None:
    """Keep what was found; open pages renew their banner when something began or ended."""
    with connection.cursor() as cursor:
        cursor.execute(_BEFORE)
        row = cursor.fetchone()
        before = {(trouble["key"], trouble["level"]) for trouble in json.loads(row[0])} if row else set()
        written = json.dumps([asdict(trouble) for trouble in troubles])
        cursor.execute(_WRITE, {"by": by[:240], "troubles": written, "bad": bool(troubles)})
    changed = before != {(trouble.key, trouble.level) for trouble in troubles}
    live.poke("system", *(["banners"] if changed else []))


def _may_be_starting(trouble: Trouble) -> bool:
    return trouble.key.startswith(("process.", "web.", "sweeps", "watchdog.", "work."))


def _somebody_looks() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_BEFORE)
        row = cursor.fetchone()
    return row is not None and row[1] < 15
