"""Forgetting what is too old to be useful, a small batch at a time; never the timeline or the history.

`RETENTION` in the wiring names what is forgotten and the setting that says after how many days (0: never).
A batch is one short transaction of its own, found by an index and skipping rows that somebody else holds:
nobody waits for it, a run that dies has lost nothing, and two at once share the work.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from core import shutdown

logger = logging.getLogger(__name__)

BATCH = 2_000
# A sweep stops after this long; what is left is the next one's.
SWEEP_SECONDS = 60.0
PAUSE_SECONDS = 0.02


class Forgets(Protocol):
    """What an entry names."""

    def count(self, before: dt.datetime) -> int: ...

    def forget(self, before: dt.datetime, limit: int) -> int: ...


@dataclass(frozen=True)
class Old:
    """Rows of a table whose `column` lies in the past; `only` is a further condition in SQL.

    Names and condition come from code alone. `column` has an index, or the table is small.
    """

    table: str
    column: str
    key: str = "id"
    only: str = "TRUE"

    def count(self, before: dt.datetime) -> int:
        """How many rows a run would forget."""
        return execute(f"SELECT count(*) FROM {self.table} WHERE {self.column} < %s AND {self.only}", before)  # noqa: S608

    def forget(self, before: dt.datetime, limit: int) -> int:
        """Delete one batch, the oldest first; returns how many rows it had."""
        chosen = (
            f"SELECT {self.key} FROM {self.table} WHERE {self.column} < %s AND {self.only}"  # noqa: S608
            f" ORDER BY {self.column} LIMIT %s FOR UPDATE SKIP LOCKED"
        )
        return execute(f"DELETE FROM {self.table} WHERE {self.key} IN ({chosen})", before, limit)  # noqa: S608


SESSIONS = Old("django_session", "expire_date", key="session_key")
CACHE = Old("core_cache", "expires", key="cache_key")
HEARTBEATS = Old("core_heartbeat", "beat_at")
PROCESSES = Old("core_process", "beat_at")
TOKENS = Old("core_apitoken", "expires_at")
ADMIN_LOG = Old("django_admin_log", "action_time")


@dataclass(frozen=True)
class Forgotten:
    """What became of one entry. `before` is None when it is kept for ever."""

    name: str
    rows: int
    before: dt.datetime | None
    seconds: float
    finished: bool


def forget_old(*, now: dt.datetime) -> int:
    """The sweep: forget for at most a minute; returns how many rows went."""
    done = list(run(now=now, seconds=SWEEP_SECONDS))
    for entry in done:
        if entry.rows:
            logger.info("forgot %s rows of %s in %.1f s", entry.rows, entry.name, entry.seconds)
    return sum(entry.rows for entry in done)


def run(*, now: dt.datetime, seconds: float | None = None, dry_run: bool = False) -> Iterator[Forgotten]:
    """Forget, or with `dry_run` count, entry by entry; stops between two batches when `seconds` are over."""
    deadline = None if seconds is None else time.monotonic() + seconds
    for name, path, setting in settings.RETENTION:
        began = time.monotonic()
        before = _before(setting, now)
        if before is None:
            yield Forgotten(name, 0, None, 0.0, finished=True)
            continue
        entry: Forgets = import_string(path)
        rows, finished = (_count(entry, before), True) if dry_run else _forget(entry, before, deadline)
        yield Forgotten(name, rows, before, time.monotonic() - began, finished)


def execute(statement: str, *params: Any) -> int:
    """Run one statement; returns the number it counts, or how many rows it deleted."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.fetchone()[0]) if cursor.description else int(cursor.rowcount)


def _before(setting: str, now: dt.datetime) -> dt.datetime | None:
    days = getattr(settings, setting)
    return now - dt.timedelta(days=days) if days > 0 else None


def _count(entry: Forgets, before: dt.datetime) -> int:
    """Counting reads a whole table, so the short limit of the pages does not apply."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        return entry.count(before)


def _forget(entry: Forgets, before: dt.datetime, deadline: float | None) -> tuple[int, bool]:
    rows = 0
    while not shutdown.requested() and (deadline is None or time.monotonic() < deadline):
        with transaction.atomic():
            done = entry.forget(before, BATCH)
        if not done:
            return rows, True
        rows += done
        time.sleep(PAUSE_SECONDS)
    return rows, False
