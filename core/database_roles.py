"""What the application's database role may do: everything but change the past."""

from __future__ import annotations

import pghistory.core
from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

APPEND_ONLY = ("core_event",)


def append_only_tables() -> tuple[str, ...]:
    """The timeline, every table of the history of configuration, and models that say `append_only`."""
    history = sorted(model._meta.db_table for model in pghistory.core.event_models())
    others = sorted(m._meta.db_table for m in apps.get_models() if getattr(m, "append_only", False))
    return (*APPEND_ONLY, *history, *others)


def grant_future_tables(owner: BaseDatabaseWrapper, role: str) -> None:
    """Let `role` use tables that `owner` is about to create, from the moment they are there.

    Code that runs during a migration writes through new triggers into new tables at once.
    """
    with owner.cursor() as cursor:
        for rights in (
            "SELECT, INSERT, UPDATE, DELETE ON TABLES",
            "USAGE, SELECT ON SEQUENCES",
        ):
            statement = sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {rights} TO {role}")
            cursor.execute(statement.format(rights=sql.SQL(rights), role=sql.Identifier(role)))


def grant_application_role(owner: BaseDatabaseWrapper, role: str) -> None:
    """Grant `role` reading and writing, and on events only appending; `owner` owns the tables."""
    with owner.cursor() as cursor:
        for statement in (
            "GRANT USAGE ON SCHEMA public TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        ):
            cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)))
        for table in append_only_tables():
            cursor.execute(
                sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {role}").format(
                    table=sql.Identifier(table), role=sql.Identifier(role)
                )
            )
