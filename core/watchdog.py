"""The fail-safe outside Celery and Redis: does overdue work itself, by the same functions."""

from __future__ import annotations

import logging
import threading
import time

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.utils.module_loading import import_string

from core import heartbeats, schema, shutdown
from core.clock import utcnow
from core.logs import about
from core.operation import outside, patrol, snapshot, vitals
from core.sweeps import sweep_function

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 2.0
OVERDUE_SECONDS = 10.0
_NEVER = 1e9


class Watchdog:
    """Looks every two seconds; a sweep that nobody has run for ten seconds is run here.

    Each rescued sweep has a thread of its own, so that a long rollback holds up nothing else. With
    Celery healthy it only reads. It also asks the web process of its host whether it answers, looks
    after Firebreak itself, and tells the outside that all is well.
    """

    def __init__(self) -> None:
        self._rescues: dict[str, threading.Thread] = {}
        self._started_at = time.monotonic()

    def run(self) -> None:
        """Watch until the process is asked to stop, then let running rescues end."""
        vitals.start("watchdog", duty=snapshot.look_after)
        patrol.go_round("ask web", patrol.EVERY_SECONDS, patrol.ask_web)
        patrol.go_round("outside heartbeat", settings.HEARTBEAT_SECONDS, outside.tell)
        for name, path, seconds in settings.WATCHDOG_ROUNDS:
            patrol.go_round(name, seconds, import_string(path))
        while not shutdown.wait(LOOK_EVERY_SECONDS):
            vitals.progress()
            try:
                close_old_connections()
                self.look()
            except DatabaseError as error:
                logger.warning("the database is away: %s", error)
                connection.close()
        for rescue in self._rescues.values():
            rescue.join()
        vitals.stop()

    def look(self) -> list[str]:
        """Start a rescue for every overdue sweep; returns their names."""
        overdue = [name for name in self._overdue() if not self._is_running(name)]
        for name in overdue:
            thread = threading.Thread(target=_rescue, args=(name,), name=f"rescue {name}")
            self._rescues[name] = thread
            thread.start()
        return overdue

    def _overdue(self) -> list[str]:
        if not schema.is_current():  # that work is for the version before
            return []
        ages = _ages()
        watched = time.monotonic() - self._started_at  # what was overdue before is the workers' first
        return [
            name
            for name, _function, seconds in settings.SWEEPS
            if min(_age(name, ages), watched) > max(OVERDUE_SECONDS, seconds * 4)
        ]

    def _is_running(self, name: str) -> bool:
        thread = self._rescues.get(name)
        return thread is not None and thread.is_alive()


def _age(name: str, ages: dict[str, float]) -> float:
    """Of a sweep in parts only those of this process count; of none of them it is never overdue."""
    if name not in settings.SWEEP_PARTS:
        return ages.get(f"sweep:{name}", _NEVER)
    return max((ages.get(f"sweep:{name}:{part}", _NEVER) for part in settings.SWEEP_PARTS[name]), default=0.0)


def _ages() -> dict[str, float]:
    """Seconds since each component last worked on any host."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT component, extract(epoch FROM clock_timestamp() - max(beat_at))::float"
            " FROM core_heartbeat GROUP BY component"
        )
        return dict(cursor.fetchall())


def _rescue(name: str) -> None:
    try:
        with about(sweep=name):
            handled = sweep_function(name)(now=utcnow())
        if handled:
            heartbeats.beat("watchdog.rescue")
            logger.warning("did overdue work: %s (%s)", name, handled)
    except Exception:
        logger.exception("rescue of %s failed", name)
    finally:
        connection.close()
