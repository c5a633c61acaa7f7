"""PostgreSQL's own programs: finding those that fit the server, and running them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

from core.embedded import postgres_programs

# Whole tables are read: the short limits of the pages do not apply, waiting for a lock still ends.
SESSION_OPTIONS = (
    "-c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=0"
    " -c application_name=firebreak-backup"
)
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = %s AND backend_type = 'client backend' AND pg_has_role(usesysid, 'USAGE')
"""
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}


class BackupFailed(Exception):
    """A backup could not be made or read; the message says why, for the person at the shell."""


def connect(database: str | None = None, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """A session of the owner's role, on the live database or another one of its server."""
    parameters = _parameters(database)
    return psycopg.connect(autocommit=autocommit, options=SESSION_OPTIONS, **parameters)


def drop_database(name: str, server: psycopg.Connection[Any]) -> None:
    """Drop a database of the owner's, ending what sessions of the owner's are left in it.

    Not `WITH (FORCE)`: while autovacuum works there, only a superuser may. To a plain DROP it gives way.
    """
    server.execute(_END_SESSIONS, [name])
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def program(name: str, server: psycopg.Connection[Any]) -> str:
    """The path of `pg_dump` or `pg_restore` of the server's major version, else of the nearest newer one."""
    try:
        return postgres_programs.fitting_program(name, server.info.server_version)
    except postgres_programs.ProgramMissing as error:
        raise BackupFailed(str(error)) from error


def run(argv: list[str], *, database: str | None = None) -> None:
    """Run one of the programs on a database; the password travels in the environment, never in argv."""
    given = {_VARIABLES[key]: str(value) for key, value in _parameters(database).items()}
    done = subprocess.run(
        argv,
        env={**os.environ, **given, "PGOPTIONS": SESSION_OPTIONS},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise BackupFailed(f"{Path(argv[0]).name} ended with {done.returncode}:\n{last}")


def _parameters(database: str | None) -> dict[str, Any]:
    known = connections["owner"].get_connection_params()
    kept = {key: known[key] for key in _VARIABLES if known.get(key)}
    return kept | ({"dbname": database} if database else {})
