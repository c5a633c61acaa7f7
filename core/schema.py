"""Whether the database has every migration that this code was written for."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterable, Mapping, Set

from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.loader import MigrationLoader

LOOK_AGAIN_SECONDS = 2.0

Migration = tuple[str, str]  # app and name


@functools.cache
def known_migrations() -> Mapping[Migration, frozenset[Migration]]:
    """Every migration of this code, each with those that it replaces."""
    return {
        key: frozenset((app, name) for app, name in migration.replaces)
        for key, migration in MigrationLoader(None).disk_migrations.items()
    }


def missing_migrations() -> tuple[str, ...]:
    """The migrations of this code that the database does not have; all of them when it is empty.

    Newer ones of the database do not matter.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        applied = set()
        if cursor.fetchone()[0]:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = {f"{app}.{name}" for app, name in cursor.fetchall()}
    return missing_from(applied)


def missing_from(applied: Set[str]) -> tuple[str, ...]:
    """The migrations of this code, as `app.name`, that are neither applied nor replace only applied ones."""
    return tuple(
        sorted(
            _text(key)
            for key, replaced in known_migrations().items()
            if _text(key) not in applied and not (replaced and {_text(one) for one in replaced} <= applied)
        )
    )


def unknown_in(applied: Iterable[str]) -> tuple[str, ...]:
    """Those of applied migrations that this code neither has nor replaces."""
    known = {_text(one) for key, replaced in known_migrations().items() for one in (key, *replaced)}
    return tuple(name for name in applied if name not in known)


def _text(migration: Migration) -> str:
    return ".".join(migration)


class _Schema:
    """What this process knows: schemas only move forward, so current once is current for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: bool | None = None
        self._looked_at = float("-inf")
        self._current = False

    def is_current(self) -> bool:
        """Whether this code may work on the database; asked again every two seconds until it may.

        A database that is away answers yes: what then fails says so by itself. One thread asks at a
        time; the others wait for the very first answer alone, afterwards they take the last one.
        """
        if self._current:
            return True
        if not self._lock.acquire(blocking=self._answer is None):
            return self._answer is not False
        try:
            if self._answer is None or time.monotonic() - self._looked_at >= LOOK_AGAIN_SECONDS:
                self._answer = self._look()
                self._looked_at = time.monotonic()
            return self._answer
        finally:
            self._lock.release()

    def _look(self) -> bool:
        try:
            self._current = not missing_migrations()
        except DatabaseError:
            return True
        return self._current

    def forget(self) -> None:
        """Look again at the next question, for tests."""
        self.__init__()  # type: ignore[misc]


_schema = _Schema()
is_current = _schema.is_current
forget = _schema.forget
