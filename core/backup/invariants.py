"""What must hold in a restored database beyond its constraints, which the restore itself rebuilds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from core.database_roles import append_only_tables

# Each query returns what is wrong, one text a row.
_QUERIES = {
    "constraints": """
        SELECT conrelid::regclass || ': ' || conname || ' is not valid' FROM pg_constraint
         WHERE NOT convalidated AND connamespace = 'public'::regnamespace
        UNION ALL
        SELECT indrelid::regclass || ': ' || indexrelid::regclass || ' is not valid' FROM pg_index
         WHERE NOT indisvalid
    """,
    "outbox": """
        SELECT 'pending event ' || p.id || ' says another place than its event' FROM core_pendingevent p
          JOIN core_event e ON e.id = p.event_id WHERE (p.stream_id, p.seq) <> (e.stream_id, e.seq)
    """,
}
_GUARDED = """
SELECT count(*) FROM pg_trigger t
 WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgenabled = 'O'
   AND (t.tgtype & 2) > 0 AND (t.tgtype & 8) > 0 AND (t.tgtype & 16) > 0
"""
_SEQUENCES = """
SELECT s.relname, c.relname, a.attname FROM pg_class s
  JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')
  JOIN pg_class c ON c.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
 WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace
"""


def broken(session: psycopg.Connection[Any]) -> Iterator[tuple[str, list[str]]]:
    """Each thing that was looked at, with what is wrong about it."""
    for name, query in _QUERIES.items():
        yield name, [text for (text,) in session.execute(query).fetchmany(5)]
    yield "append-only", list(_unguarded(session))
    yield "sequences", list(_behind(session))


def _unguarded(session: psycopg.Connection[Any]) -> Iterator[str]:
    """Tables that only grow have an enabled trigger before UPDATE and DELETE."""
    for table in append_only_tables():
        exists = session.execute("SELECT to_regclass(%s)", [table]).fetchone()
        if exists is None or exists[0] is None:
            continue  # a backup from before this table
        row = session.execute(_GUARDED, [table]).fetchone()
        if not row or not row[0]:
            yield f"nothing keeps {table} from being changed"


def _behind(session: psycopg.Connection[Any]) -> Iterator[str]:
    """A sequence behind its column gives a number away twice."""
    for sequence, table, column in session.execute(_SEQUENCES).fetchall():
        row = session.execute(
            sql.SQL(
                "SELECT (SELECT max({column}) FROM {table}) > (SELECT last_value FROM {sequence})"
            ).format(
                column=sql.Identifier(column), table=sql.Identifier(table), sequence=sql.Identifier(sequence)
            )
        ).fetchone()
        if row and row[0]:
            yield f"{sequence} is behind {table}.{column}"
