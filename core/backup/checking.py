"""Proving a backup: restore it into a scratch database, compare, verify every hash chain, drop it."""

from __future__ import annotations

import contextlib
import copy
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

from core.backup import invariants, manifest, tools
from core.backup.manifest import DUMP, PLAYBOOK
from core.backup.tools import BackupFailed
from core.schema import missing_from, unknown_in
from core.verification import verify_kept, verify_streams

SCRATCH_PREFIX = "firebreak_restore_check_"
ALIAS = "restore_check"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    good: bool
    what: str
    detail: str


def check_backup(folder: Path) -> Iterator[Finding]:
    """Look at everything about a backup, in order; ends at a finding after which nothing more can be said.

    The live database is never read nor written: only its server is asked for a scratch database.
    """
    try:
        said = manifest.read(folder)
        problems = list(_wrong_files(folder, said))
    except BackupFailed as error:
        yield Finding(False, "manifest", str(error))
        return
    yield Finding(not problems, "files", "; ".join(problems) or _files_text(said))
    if problems:
        return
    try:
        with _scratch_database() as name:
            began = time.monotonic()
            _restore(folder / DUMP, name)
            yield Finding(True, "restored", f"into a scratch database in {time.monotonic() - began:.1f} s")
            yield from _look(name, said)
    except (BackupFailed, psycopg.Error) as error:
        yield Finding(False, "restored", str(error).strip())


def _wrong_files(folder: Path, said: dict[str, Any]) -> Iterator[str]:
    expected = {DUMP: said["dump"]}
    expected |= {f"{PLAYBOOK}/{name}": digest for name, digest in said["playbook"]["files"].items()}
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
            continue
        found = manifest.digest_of(path)
        if found["bytes"] != digest["bytes"]:
            yield f"{name} has {found['bytes']} bytes, the manifest says {digest['bytes']}"
        elif found["sha256"] != digest["sha256"]:
            yield f"{name} has another SHA-256 than the manifest says"


def _files_text(said: dict[str, Any]) -> str:
    return (
        f"{DUMP} {said['dump']['bytes']:,} bytes, {len(said['playbook']['files'])} playbook files:"
        " sizes and SHA-256 agree"
    )


@contextlib.contextmanager
def _scratch_database() -> Iterator[str]:
    """An empty database of its own name, dropped at the end whatever happened."""
    name = SCRATCH_PREFIX + secrets.token_hex(4)
    with tools.connect(autocommit=True) as server:
        _drop_abandoned(server)
        try:
            server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise BackupFailed(
                "The owner's role may not create a scratch database: ALTER ROLE … CREATEDB, or point"
                " DATABASE_OWNER_URL at another server for this check."
            ) from error
        try:
            yield name
        finally:
            tools.drop_database(name, server)


def _drop_abandoned(server: psycopg.Connection[Any]) -> None:
    """Scratch databases of checks that were killed: nobody is connected to them."""
    rows = server.execute(
        "SELECT datname FROM pg_database d WHERE starts_with(datname, %s) AND datdba = current_user::regrole"
        " AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname)",
        [SCRATCH_PREFIX],
    ).fetchall()
    for (name,) in rows:
        with contextlib.suppress(psycopg.Error):  # another check has just made it and connects now
            server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def _restore(dump: Path, database: str) -> None:
    with tools.connect(database) as session:
        restore = tools.program("pg_restore", session)
    tools.run(
        [
            restore,
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--no-password",
            f"--dbname={database}",
            str(dump),
        ],
        database=database,
    )


def _look(database: str, said: dict[str, Any]) -> Iterator[Finding]:
    with tools.connect(database) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = manifest.facts_of(session)
        yield _migrations(found, said)
        yield _rows(found, said)
        yield _heads(found, said)
        for name, problems in invariants.broken(session):
            yield Finding(not problems, name, "; ".join(problems) or "as they must be")
    with _alias_for(database) as alias:
        checked, problems = verify_streams(using=alias)
        kept, wrong = verify_kept(using=alias)
    detail = "; ".join(problems[:5]) or f"{checked} streams, every hash and every link intact"
    yield Finding(not problems, "timeline", detail)
    detail = "; ".join(wrong[:5]) or f"{kept} pieces, the same bytes that were attached"
    yield Finding(not wrong, "evidence", detail)


def _migrations(found: dict[str, Any], said: dict[str, Any]) -> Finding:
    if found["migrations"] != said["migrations"]:
        return Finding(False, "migrations", "differ from the manifest")
    unknown = unknown_in(found["migrations"])
    if unknown:
        return Finding(
            False, "migrations", f"made by another Firebreak than this one: {', '.join(unknown[:5])}"
        )
    ahead = len(missing_from(set(found["migrations"])))
    text = f"{len(found['migrations'])}, all known here"
    return Finding(True, "migrations", text + (f"; `migrate` would apply {ahead} more" if ahead else ""))


def _rows(found: dict[str, Any], said: dict[str, Any]) -> Finding:
    wrong = [
        f"{table}: {found['tables'].get(table, 'no table')} instead of {said['tables'].get(table, 'none')}"
        for table in sorted(found["tables"].keys() | said["tables"].keys())
        if found["tables"].get(table) != said["tables"].get(table)
    ]
    good = f"{len(said['tables'])} tables, {sum(said['tables'].values()):,} rows, as the manifest says"
    return Finding(not wrong, "rows", "; ".join(wrong[:5]) or good)


def _heads(found: dict[str, Any], said: dict[str, Any]) -> Finding:
    same = found["streams"] == said["streams"]
    text = f"{said['streams']['count']} with {said['streams']['events']:,} events"
    return Finding(same, "stream heads", text if same else "differ from the manifest")


@contextlib.contextmanager
def _alias_for(database: str) -> Iterator[str]:
    """A Django connection to the scratch database, for code that reads through the ORM."""
    made = copy.deepcopy(connections["owner"].settings_dict) | {"NAME": database, "CONN_MAX_AGE": 0}
    made["OPTIONS"] = made["OPTIONS"] | {"options": tools.SESSION_OPTIONS}
    made["OPTIONS"].pop("application_name", None)
    connections.settings[ALIAS] = made
    try:
        yield ALIAS
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.settings[ALIAS]
