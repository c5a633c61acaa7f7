"""Dumps in a private folder, each with a sealed description: what it is of, and how many rows it has."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from demo.manifest import sha256
from demo.procedures.postgres.server import Target
from demo.procedures.program import Refused
from demo.storefront.site import read_json, write_json

BACKUP = re.compile(r"^[a-z][a-z0-9_]{0,29}-[A-Za-z0-9][A-Za-z0-9-]{0,40}\Z")
LABEL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9-]{0,40}\Z")
FREE_FACTOR = 2.5
"""Free space for a dump, a restored copy and half of one: by the size of the database."""


@dataclass(frozen=True)
class Store:
    """The folder of the dumps, for this account alone."""

    folder: Path

    def dump(self, backup: str) -> Path:
        return self.folder / f"{backup}.dump"

    def description(self, backup: str) -> Path:
        return self.folder / f"{backup}.json"

    def names(self) -> Iterator[str]:
        """The backups there are, the newest first."""
        files = sorted(self.folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
        return (file.stem for file in files if BACKUP.match(file.stem))

    def seal(self, content: Mapping[str, Any]) -> str:
        """What nobody without the store's key can make: its HMAC-SHA-256."""
        body = json.dumps(content, sort_keys=True).encode()
        return hmac.new(self._key(), body, hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        file = self.folder / ".key"
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as key:
                key.write(secrets.token_bytes(32))
        return file.read_bytes()


def open_store(folder: Path) -> Store:
    """Make the folder where it is missing; raises Refused when others may look into it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        raise Refused(f"{folder} is open to other accounts: chmod 700 it")
    return Store(folder)


def back_up(target: Target, store: Store, label: str) -> str:
    """Dump the database with pg_dump, whole or not at all; returns the backup's name.

    The rows of every table are counted in the dump's own snapshot, so that a restored copy can be compared.
    """
    target.require_not_ours()
    backup = f"{target.database}-{label}"
    if store.description(backup).exists():
        verify(target, store, backup)
        print(f"{backup} is there already")
        return backup
    require_space(target, store)
    unfinished = store.folder / f".{backup}.unfinished"
    with target.server.connect(target.database, autocommit=False) as reading:
        reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = count_rows(reading)
        (snapshot,) = _one(reading, "SELECT pg_export_snapshot()")
        (size,) = _one(reading, "SELECT pg_database_size(current_database())")
        target.server.run(
            reading, "pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={unfinished}",
            f"--dbname={target.database}",
        )  # fmt: skip
        content = {
            "database": target.database,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "server_version": reading.info.server_version,
            "database_bytes": size,
            "dump_bytes": unfinished.stat().st_size,
            "sha256": sha256(unfinished),
            "rows": rows,
        }
    with unfinished.open("rb") as dump:
        os.fsync(dump.fileno())
    os.replace(unfinished, store.dump(backup))
    write_json(store.description(backup), {**content, "seal": store.seal(content)}, mode=0o600)
    print(f"{backup}: {content['dump_bytes']} bytes, {sum(rows.values())} rows of {len(rows)} tables")
    return backup


def verify(target: Target, store: Store, backup: str) -> dict[str, Any]:
    """The description of a backup that is whole, ours, and of this database; raises Refused."""
    content = read_json(store.description(backup))
    if content is None:
        known = ", ".join(store.names()) or "none"
        raise Refused(f"there is no backup {backup} (there are: {known})")
    seal = str(content.pop("seal", ""))
    if not hmac.compare_digest(seal, store.seal(content)):
        raise Refused(f"the description of {backup} was not sealed here, or was changed")
    if content["database"] != target.database:
        raise Refused(f"{backup} is of {content['database']}, not of {target.database}")
    if not store.dump(backup).exists() or sha256(store.dump(backup)) != content["sha256"]:
        raise Refused(f"the dump of {backup} is missing or was changed")
    with target.beside() as connection:
        contents = target.server.run(connection, "pg_restore", "--list", str(store.dump(backup)))
    if re.search(r" TABLE \S+ (core_event|rollbacks_rollback) ", contents):
        raise Refused(f"{backup} is of a database of Firebreak: never restored by a rollback")
    return content


def require_space(target: Target, store: Store) -> None:
    """Raises Refused unless 2.5 times the database's size is free, here and where the server keeps data."""
    with target.beside() as connection:
        (size,) = _one(connection, "SELECT pg_database_size(%s)", target.database)
        places = {store.folder, *_data_directory(connection)}
    for place in places:
        free = shutil.disk_usage(place).free
        if free < FREE_FACTOR * size:
            raise Refused(f"{place} has {free} bytes free, {FREE_FACTOR} times {size} are needed")
        print(f"{place}: {free // 1_048_576} MiB free, the database has {size // 1_048_576} MiB")
    if len(places) == 1:
        print("the server's own disk cannot be seen from here")


def count_rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows of every ordinary table, by `schema.table`."""
    tables = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%'"
        " AND n.nspname <> 'information_schema' ORDER BY 1, 2"
    ).fetchall()
    counted = {}
    for schema, table in tables:
        statement = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table))
        counted[f"{schema}.{table}"] = int(_one(connection, statement)[0])
    return counted


def _data_directory(connection: psycopg.Connection[Any]) -> list[Path]:
    """Where a server of this machine keeps its data; empty where that cannot be seen."""
    try:
        folder = Path(str(_one(connection, "SELECT current_setting('data_directory')")[0]))
    except psycopg.errors.InsufficientPrivilege:
        return []
    local = connection.info.host.startswith("/")
    try:
        return [folder] if local and folder.exists() else []
    except PermissionError:
        return []


def _one(connection: psycopg.Connection[Any], query: Any, *values: Any) -> tuple[Any, ...]:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return tuple(row)
