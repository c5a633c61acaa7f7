"""`manage.py migrate`: as the owner of the tables, without standing in anybody's way.

A migration that needs a table waits two seconds for it at most: who queues longer behind a slow
transaction makes every reader and writer queue behind itself. Then it gives way and tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from core.database_roles import grant_application_role, grant_future_tables

# One migrate at a time on a database, whatever the host.
ONE_AT_A_TIME = 0x46495245  # "FIRE"
LONGEST_PAUSE_SECONDS = 10.0


class InUse(Exception):
    """Another migrate works on this database."""


class Command(DjangoMigrate):
    help = "Migrate as DATABASE_OWNER_URL and grant the application's role its rights."

    def handle(self, *args: Any, **options: Any) -> None:
        role = settings.DATABASES["default"].get("USER")
        has_owner = settings.DATABASES["owner"].get("USER") != role
        if options["database"] == "default" and has_owner:
            options["database"] = "owner"
        grants = role if has_owner and options["database"] == "owner" else None
        deadline = time.monotonic() + settings.MIGRATE_PATIENCE_SECONDS
        pause = 0.5
        while True:
            try:
                return self._attempt(grants, *args, **options)
            except (InUse, OperationalError) as error:
                if not isinstance(error, InUse) and not _is_lock_timeout(error):
                    raise
                if time.monotonic() + pause > deadline:
                    raise CommandError(
                        "The tables stayed in use, so not every migration was applied. What was applied"
                        " is whole; run `migrate` again. Who is in the way: pg_stat_activity, xact_start."
                    ) from error
            self.stderr.write(f"A table is in use; trying again in {pause:.1f} s, nobody waits for us.")
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _attempt(self, role: str | None, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with _polite(connection), _only_one(connection):
            _drop_invalid_indexes(connection)
            if role:
                grant_future_tables(connection, role)
            super().handle(*args, **options)
            if role:
                grant_application_role(connection, role)


def _is_lock_timeout(error: Exception) -> bool:
    return isinstance(error.__cause__, psycopg.errors.LockNotAvailable)


@contextmanager
def _polite(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Short waits for locks, long statements: filling a column may take as long as it takes."""
    known = connection.settings_dict["OPTIONS"]
    waiting = f"-c lock_timeout={int(settings.MIGRATE_LOCK_TIMEOUT_SECONDS * 1000)}ms"
    changed = known | {
        "options": f"{waiting} -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"
    }
    connection.close()
    connection.settings_dict["OPTIONS"] = changed
    try:
        yield
    finally:
        connection.settings_dict["OPTIONS"] = known
        connection.close()
        if connection.in_atomic_block:
            # A foreign key, which Django adds at a migration's very end, met a lock, and Django believes
            # itself in a transaction still: the next attempt begins with a connection of its own.
            del connections[connection.alias]


@contextmanager
def _only_one(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Held by the session, so a killed migrate leaves no lock; a second one tries again like for a table.

    It asks and does not wait: a CREATE INDEX CONCURRENTLY of the first would wait for the waiting.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ONE_AT_A_TIME])
        if not cursor.fetchone()[0]:
            raise InUse
    yield  # closing the connection releases it


def _drop_invalid_indexes(connection: BaseDatabaseWrapper) -> None:
    """What a CREATE INDEX CONCURRENTLY left that was cut off: in the way of its own repetition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE NOT indisvalid AND relnamespace = 'public'::regnamespace"
            " AND NOT relname ~ '_cc(new|old)[0-9]*$'"  # an operator's REINDEX CONCURRENTLY
        )
        for (name,) in cursor.fetchall():
            cursor.execute(
                sql.SQL("DROP INDEX {}").format(sql.Identifier(name)).as_string(connection.connection)
            )
