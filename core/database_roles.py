"""What the application's database role may do: everything but change the past."""

from __future__ import annotations

from django.conf import settings
from django.db import connections
from psycopg import sql

APPEND_ONLY = ("core_event",)


def grant_application_role(owner_alias: str) -> bool:
    """Grant reading and writing to the application's role, and on events only appending.

    Returns False, and does nothing, when owner and application are the same role.
    """
    role = settings.DATABASES["default"].get("USER")
    owner = connections[owner_alias]
    if not role or role == owner.settings_dict.get("USER"):
        return False
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
    return True
