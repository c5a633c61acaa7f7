"""The PostgreSQL server and the database that may be rolled back there, and what is never touched."""

from __future__ import annotations

import configparser
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from core.embedded.postgres_programs import ProgramMissing, fitting_program
from demo.fencing import REFERENCE
from demo.procedures.program import Refused, run_program

NAME = re.compile(r"^[a-z][a-z0-9_]{0,29}\Z")
NEVER = frozenset({"postgres", "template0", "template1"})
# Whole tables are read and written: no short limit applies, but waiting for a lock ends.
SESSION_OPTIONS = (
    "-c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=0"
    " -c client_min_messages=warning"
)


@dataclass(frozen=True)
class Server:
    """A server as a libpq connection service file of one section says how to reach it.

    The file may hold a password or name a `passfile`; neither ever stands in an argument.
    """

    file: Path
    section: str

    def connect(self, database: str, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        return psycopg.connect(
            service=self.section,
            dbname=database,
            application_name="database-rollback",
            options=SESSION_OPTIONS,
            connect_timeout=10,
            autocommit=autocommit,
        )

    def run(self, connection: psycopg.Connection[Any], name: str, *words: str) -> str:
        """Run pg_dump or pg_restore of a version that fits the server."""
        try:
            program = fitting_program(name, connection.info.server_version)
        except ProgramMissing as error:
            raise Refused(str(error)) from None
        environment = {"PGSERVICE": self.section, "PGOPTIONS": SESSION_OPTIONS}
        return run_program((program, "--no-password", *words), environment=environment)


@dataclass(frozen=True)
class Target:
    """The database that a rollback is about, on its server; `maintenance` is one to connect to beside it."""

    server: Server
    database: str
    maintenance: str

    def fresh(self, ref: str) -> str:
        """The new database that a rollback restores into."""
        return f"{self.database}_restore_{_suffix(ref)}"

    def before(self, ref: str) -> str:
        """What the old database is called once the new one has its name."""
        return f"{self.database}_before_{_suffix(ref)}"

    def beside(self, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A session of the server that is in none of the databases concerned."""
        return self.server.connect(self.maintenance, autocommit=autocommit)

    def require_not_ours(self) -> None:
        """Raises Refused when the database is Firebreak's own, or cannot be looked into."""
        with self.server.connect(self.database) as connection:
            refuse_firebreak(connection)


def open_server(file: Path) -> Server:
    """Raises Refused when the connection file is open to others or has not exactly one section."""
    if file.stat().st_mode & 0o077:
        raise Refused(f"{file} is open to other accounts: chmod 600 it")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except configparser.Error:
        raise Refused(f"{file} is no connection service file") from None
    if len(parser.sections()) != 1:
        raise Refused(f"{file} must have exactly one section")
    os.environ["PGSERVICEFILE"] = str(file)  # libpq reads it there, in the programs too
    return Server(file, parser.sections()[0])


def refuse_firebreak(connection: psycopg.Connection[Any]) -> None:
    """Raises Refused when this is a database of Firebreak: the record of the rollback itself is in there.

    A command knows no DATABASE_URL, so what is in the database says it.
    """
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY(%s)",
        [["core_event", "rollbacks_rollback"]],
    ).fetchone()
    if found:
        raise Refused(f"{connection.info.dbname} is a database of Firebreak ({found[0]}): never touched")


def exists(connection: psycopg.Connection[Any], *names: str) -> set[str]:
    """Those of the databases that are there."""
    rows = connection.execute("SELECT datname FROM pg_database WHERE datname = ANY(%s)", [list(names)])
    return {str(name) for (name,) in rows}


def identifiers(**names: str) -> dict[str, sql.Identifier]:
    return {key: sql.Identifier(name) for key, name in names.items()}


def _suffix(ref: str) -> str:
    match = REFERENCE.match(ref)
    assert match, ref
    return f"{match[1].replace('-', '')}_{match[2]}"
