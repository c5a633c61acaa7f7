"""Making a backup while everything runs: one snapshot for the dump and for what the manifest says of it."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from core.backup import manifest, tools
from core.backup.manifest import DUMP, MANIFEST, PLAYBOOK
from core.backup.tools import BackupFailed
from core.events import rfc3339
from core.playbook import get_playbook

PREFIX = "firebreak-"


@dataclass(frozen=True)
class Made:
    """A finished backup, and the older ones that went for it."""

    folder: Path
    manifest: dict[str, Any]
    removed: tuple[Path, ...]


def make_backup(*, to: Path, keep: int, now: dt.datetime) -> Made:
    """Write a backup below `to`, then remove all but the newest `keep`. Raises BackupFailed.

    The folder gets its name when everything in it is on the disk: a backup that has its name is whole.
    """
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(to):
        _clear_unfinished(to)
        name = f"{PREFIX}{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}"
        if (to / name).exists():
            raise BackupFailed(f"{to / name} is there already: wait a second.")
        unfinished = to / f".{name}.unfinished"
        unfinished.mkdir(mode=0o700)
        try:
            written = _write(unfinished, now)
            _to_disk(unfinished)
            unfinished.rename(to / name)
            _sync(to)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        removed = tuple(list_backups(to)[keep:])
        for old in removed:
            shutil.rmtree(old)
    return Made(to / name, written, removed)


def list_backups(folder: Path) -> list[Path]:
    """The whole backups of a folder, newest first."""
    found = (path for path in folder.glob(f"{PREFIX}*") if (path / MANIFEST).is_file())
    return sorted(found, key=lambda path: path.name, reverse=True)


def _write(folder: Path, now: dt.datetime) -> dict[str, Any]:
    with tools.connect() as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = session.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        # While this transaction lives, the dump sees exactly what the manifest counts.
        dump = [
            tools.program("pg_dump", session),
            "--format=custom",
            "--no-password",
            "--lock-wait-timeout=10000",
        ]
        tools.run([*dump, f"--snapshot={row[0]}", f"--file={folder / DUMP}"])
        facts = _facts(session)
        server = session.info.parameter_status("server_version")
    playbook = _copy_playbook(folder / PLAYBOOK)
    written = {
        "format": manifest.FORMAT,
        "firebreak": manifest.firebreak_version(),
        "created_at": rfc3339(now),
        "server_version": server,
        "dump": {"file": DUMP, **manifest.digest_of(folder / DUMP)},
        "playbook": playbook,
        **facts,
        "not_in_it": list(manifest.NOT_IN_IT),
    }
    (folder / MANIFEST).write_text(json.dumps(written, indent=1) + "\n")
    return written


def _facts(session: psycopg.Connection[Any]) -> dict[str, Any]:
    try:
        return manifest.facts_of(session)
    except psycopg.errors.UndefinedTable as error:
        raise BackupFailed("The database has no Firebreak in it: run `manage.py migrate` first.") from error


def _copy_playbook(folder: Path) -> dict[str, Any]:
    folder.mkdir(mode=0o700)
    files = {}
    for source in manifest.files_below(settings.PLAYBOOK_DIR):
        name = source.relative_to(settings.PLAYBOOK_DIR)
        target = folder / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        files[name.as_posix()] = manifest.digest_of(target)
    return {"digest": get_playbook().digest, "files": files}


@contextlib.contextmanager
def _only_one(to: Path) -> Iterator[None]:
    with (to / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(f"Another backup into {to} is under way.") from None
        yield


def _clear_unfinished(to: Path) -> None:
    """What a killed backup left; nobody else writes here while we hold the lock."""
    for left in to.glob(f".{PREFIX}*.unfinished"):
        shutil.rmtree(left, ignore_errors=True)


def _to_disk(folder: Path) -> None:
    for path in manifest.files_below(folder):
        path.chmod(0o600)
        _sync(path)
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
