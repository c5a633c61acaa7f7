"""How many requests a sender may send in a minute, counted in PostgreSQL by blocks.

A process takes a block of a sender's budget with one statement, then serves from it without the
database: a twentieth of the limit, at most 50, and less where little is left. The total of all
processes never exceeds the limit; what a process has not used when it dies, or when the minute
ends, is lost to the sender until then. The minute before counts as much as it still overlaps the
last 60 seconds, so a flood across the edge of two minutes gains nothing.

Minutes are the database's; a process measures only how long ago it asked.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
from dataclasses import dataclass

from django.db import DatabaseError, connection

from core.models import RateBudget

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
LARGEST_BLOCK = 50
REMEMBERED = 10_000  # senders in a process
FORGOTTEN_AT_ONCE = 10_000

_TAKE = """
INSERT INTO core_ratebudget AS b (key, minute, taken, before, granted)
SELECT %(key)s, floor(extract(epoch FROM clock_timestamp()) / 60), first, 0, first
  FROM (SELECT LEAST(%(block)s, ceil(%(limit)s / 4.0))::int AS first) f
ON CONFLICT (key) DO UPDATE SET (minute, taken, before, granted) = (
    SELECT now.minute, now.taken + grant_of.n, now.before, grant_of.n
      FROM (SELECT clock.minute,
                   CASE WHEN b.minute = clock.minute THEN b.taken ELSE 0 END AS taken,
                   CASE b.minute WHEN clock.minute THEN b.before
                                 WHEN clock.minute - 1 THEN b.taken ELSE 0 END AS before,
                   clock.part
              FROM (SELECT floor(at / 60)::bigint AS minute, at / 60 - floor(at / 60) AS part
                      FROM (SELECT extract(epoch FROM clock_timestamp())::float8 AS at) c) clock) now,
           LATERAL (SELECT %(limit)s - now.taken - now.before * (1 - now.part) AS free) room,
           LATERAL (SELECT CASE WHEN room.free < 1 THEN 0
                                ELSE LEAST(%(block)s, ceil(room.free / 4))::int END AS n) grant_of)
RETURNING granted, taken, before, extract(epoch FROM clock_timestamp())::float8 / 60 - minute
"""


@dataclass
class _Held:
    """What this process holds of one sender's budget; times are of the monotonic clock."""

    left: int = 0
    until: float = 0.0
    refused_until: float = 0.0


class Budgets:
    """The budgets that one process has taken blocks of. Threads share it."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def spend(self, key: str, limit: int) -> int:
        """Use one request of `key`'s `limit` a minute; returns 0, or the seconds to wait instead.

        A limit of 0 is none. A database that cannot count lets everybody pass: an incident must not
        wait for its own protection.
        """
        if limit <= 0:
            return 0
        with self._lock:
            waits = self._spend_held(key)
        if waits is not None:
            return waits
        asked_at = time.monotonic()
        try:
            granted, taken, before, part = _take(key, limit)
        except DatabaseError as error:
            logger.warning("requests are not counted: %s", error)
            return 0
        with self._lock:
            return self._receive(key, limit, granted, taken, before, part, asked_at)

    def is_refused(self, key: str) -> bool:
        """Whether `key` is known to have used its budget up; costs nothing."""
        with self._lock:
            held = self._held.get(key)
            return held is not None and time.monotonic() < held.refused_until

    def forget(self) -> None:
        """Start anew, as a new process does."""
        with self._lock:
            self._held.clear()

    def _spend_held(self, key: str) -> int | None:
        held, now = self._held.get(key), time.monotonic()
        if held is None:
            return None
        if now < held.refused_until:
            return math.ceil(held.refused_until - now)
        if now < held.until and held.left > 0:
            held.left -= 1
            return 0
        return None

    def _receive(
        self, key: str, limit: int, granted: int, taken: int, before: int, part: float, asked_at: float
    ) -> int:
        if len(self._held) >= REMEMBERED:
            self._held = {k: h for k, h in self._held.items() if max(h.until, h.refused_until) > asked_at}
        held = self._held.setdefault(key, _Held())
        if granted == 0:
            waits = seconds_until_room(limit=limit, taken=taken, before=before, part=part)
            held.refused_until = asked_at + waits
            return waits
        ends = asked_at + (1 - part) * WINDOW_SECONDS
        # Two threads may have asked at once: both blocks are of this minute.
        held.left = (held.left if asked_at < held.until else 0) + granted - 1
        held.until = ends
        return 0


def seconds_until_room(*, limit: int, taken: int, before: int, part: float) -> int:
    """Whole seconds, at least 1, until one request has room again; `part` of the minute is over.

    What was taken in the minute before fades as this one goes on; what was taken in this one begins
    to fade when the next begins.
    """
    if taken <= limit - 1 and before > 0:
        enough = 1 - (limit - 1 - taken) / before
        return max(1, math.ceil((enough - part) * WINDOW_SECONDS))
    fading = max(0.0, 1 - (limit - 1) / taken) if taken else 0.0
    return max(1, math.ceil((1 - part + fading) * WINDOW_SECONDS))


def forget_old_budgets(*, now: dt.datetime) -> int:
    """Delete the budgets that nobody used in the last minutes, a batch; returns how many."""
    long_ago = int(now.timestamp()) // WINDOW_SECONDS - 5
    old = RateBudget.objects.filter(minute__lt=long_ago).values("pk")[:FORGOTTEN_AT_ONCE]
    return RateBudget.objects.filter(pk__in=old).delete()[0]


def _take(key: str, limit: int) -> tuple[int, int, int, float]:
    block = max(1, min(LARGEST_BLOCK, limit // 20))
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"key": key, "block": block, "limit": limit})
        granted, taken, before, part = cursor.fetchone()
    return granted, taken, before, min(1.0, max(0.0, part))


BUDGETS = Budgets()  # this process's
