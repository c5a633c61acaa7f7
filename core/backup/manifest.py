"""What a backup says about itself: enough to prove that what is restored is what there was."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from core.backup.tools import BackupFailed

FORMAT = 1
MANIFEST, DUMP, PLAYBOOK = "manifest.json", "database.dump", "playbook"
NOT_IN_IT = (
    "SECRET_KEY and encryption keys (keep them elsewhere: without them sessions end and secrets at rest"
    " cannot be read)",
    "the environment: addresses, passwords, settings",
    "the broker: it holds hints only, the rows are the truth",
    "files below VAR_DIR: logs, mails, output of steps",
)


def facts_of(session: psycopg.Connection[Any]) -> dict[str, Any]:
    """Counts, stream heads and migrations as this transaction sees them; the same of a restored copy."""
    return {
        "migrations": _migrations(session),
        "tables": _counts(session),
        "streams": _streams(session),
    }


def firebreak_version() -> str:
    """The version that the project's own description has."""
    text = (settings.BASE_DIR / "pyproject.toml").read_text()
    return str(tomllib.loads(text)["project"]["version"])


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a backup; raises BackupFailed for one that cannot be read."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise BackupFailed(f"{path} has format {found['format']}; this Firebreak reads {FORMAT}.")
    except FileNotFoundError as error:
        raise BackupFailed(f"{folder} has no {MANIFEST}: it is not a backup, or not a whole one.") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise BackupFailed(f"{path} cannot be read: {error}") from error
    return dict(found)


def digest_of(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def files_below(folder: Path) -> list[Path]:
    """The regular files of a folder and those below it, in order; links are not followed."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _migrations(session: psycopg.Connection[Any]) -> list[str]:
    rows = session.execute("SELECT app || '.' || name FROM django_migrations ORDER BY id").fetchall()
    return [name for (name,) in rows]


def _counts(session: psycopg.Connection[Any]) -> dict[str, int]:
    names = session.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        " ORDER BY relname"
    ).fetchall()
    counted = {}
    for (name,) in names:
        row = session.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
        counted[name] = row[0] if row else 0
    return counted


def _streams(session: psycopg.Connection[Any]) -> dict[str, Any]:
    """How many streams, how many events their heads promise, and one digest over all heads."""
    digest, streams, events = hashlib.sha256(), 0, 0
    with session.cursor("heads") as cursor:  # on the server: a million incidents are a million heads
        cursor.execute(
            'SELECT kind, name, head_seq, head_hash FROM core_stream ORDER BY kind, name COLLATE "C"'
        )
        for kind, name, seq, head in cursor:
            digest.update(f"{kind}:{name} {seq} {head}\n".encode())
            streams, events = streams + 1, events + seq
    return {"count": streams, "events": events, "heads_sha256": digest.hexdigest()}
