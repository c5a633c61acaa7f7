"""Whether the database has every migration that this code was written for."""

from __future__ import annotations

import functools
import threading
import time

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

LOOK_AGAIN_SECONDS = 2.0


@functools.cache
def known_migrations() -> frozenset[tuple[str, str]]:
    """Every migration of this code, as (app, name)."""
    return frozenset(MigrationLoader(None).disk_migrations)


def missing_migrations() -> tuple[str, ...]:
    """The migrations of this code that the database does not have; all of them when it is empty."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        applied = set()
        if cursor.fetchone()[0]:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    return tuple(sorted(f"{app}.{name}" for app, name in known_migrations() - applied))


class _Schema:
    """What this process knows: schemas only move forward, so current once is current for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current = False
        self._looked_at = float("-inf")

    def is_current(self) -> bool:
        """Whether this code may work on the database; asked again every two seconds until it may.

        A database that is away answers yes: what then fails says so by itself.
        """
        if self._current:
            return True
        with self._lock:
            if self._current or time.monotonic() - self._looked_at < LOOK_AGAIN_SECONDS:
                return self._current
            try:
                self._current = not missing_migrations()
            except DatabaseError:
                return True
            self._looked_at = time.monotonic()
            return self._current

    def forget(self) -> None:
        """Look again at the next question, for tests."""
        self.__init__()  # type: ignore[misc]


_schema = _Schema()
is_current = _schema.is_current
forget = _schema.forget
