"""Where the time enters: doors call it once and pass `now` down."""

import datetime as dt

from django.db import connection


def utcnow() -> dt.datetime:
    """The current time, aware, in UTC. For doors only: services take `now`."""
    return dt.datetime.now(dt.UTC)


def database_now() -> dt.datetime:
    """The database's wall clock, aware: what leases and deadlines are compared with."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]
