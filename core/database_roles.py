"""What the application's database role may do: everything but change the past."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

APPEND_ONLY = ("core_event",)


def grant_application_role(owner: BaseDatabaseWrapper, role: str) -> None:
    """Grant `role` reading and writing, and on events only appending; `owner` owns the tables."""
    with owner.cursor() as cursor:
        for statement in (
            "GRANT USAGE ON SCHEMA public TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        ):
            cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)))
        for table in APPEND_ONLY:
            cursor.execute(
                sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {role}").format(
                    table=sql.Identifier(table), role=sql.Identifier(role)
                )
            )
