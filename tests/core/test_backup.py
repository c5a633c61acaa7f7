"""A backup under load is whole and can be restored; one that was damaged is refused, each time by name."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from core import events
from core.actors import SYSTEM
from core.backup import manifest, tools
from core.backup.checking import check_backup
from core.clock import utcnow
from core.embedded import postgres_programs
from core.models.events import StreamKind
from tests.conftest import make_service
from tests.processes import manage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    return {"BACKUP_DIR": str(tmp_path / "backups"), "VAR_DIR": str(tmp_path / "var")}


def write_events(stop: threading.Event, written: list[int]) -> None:
    """An application that works on while it is backed up."""
    stream = events.open_stream(StreamKind.SYSTEM, "load")
    while not stop.is_set():
        with transaction.atomic():
            now = utcnow()
            event = events.record(stream.pk, kind="test.load", actor=SYSTEM, summary="x" * 200, now=now)
        written.append(event.seq)
        time.sleep(0.001)
    connection.close()


@pytest.fixture
def backup(places: dict[str, str]) -> Path:
    """A backup that was made while events were written."""
    make_service("shop", utcnow())
    stop, written = threading.Event(), []  # type: ignore[var-annotated]
    writer = threading.Thread(target=write_events, args=(stop, written))
    writer.start()
    try:
        while len(written) < 20:
            time.sleep(0.01)
        before = len(written)
        done = manage("backup", **places)
        during = len(written) - before
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    assert during > 0, "writing went on while it was backed up"
    (folder,) = (path for path in Path(places["BACKUP_DIR"]).iterdir() if not path.name.startswith("."))
    return folder


def scratch_databases() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'firebreak_restore_check%%'")
        return [name for (name,) in cursor.fetchall()]


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Somebody who also changes the manifest."""
    said = json.loads((folder / manifest.MANIFEST).read_text())
    change(said)
    (folder / manifest.MANIFEST).write_text(json.dumps(said))


def redumped(folder: Path, statement: str) -> None:
    """A dump that is whole and has a fitting hash, of a database that somebody changed."""
    name = "firebreak_forgery"
    with tools.connect(autocommit=True) as server:
        tools.drop_database(name, server)
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            dump = str(folder / manifest.DUMP)
            restore = [
                tools.program("pg_restore", server),
                "--no-owner",
                "--no-privileges",
                f"--dbname={name}",
                dump,
            ]
            tools.run(restore, database=name)
            with tools.connect(name) as forged:
                forged.execute("ALTER TABLE core_event DISABLE TRIGGER USER")
                forged.execute(statement)
                forged.execute("SET CONSTRAINTS ALL IMMEDIATE")
                forged.execute("ALTER TABLE core_event ENABLE TRIGGER USER")
            tools.run([tools.program("pg_dump", server), "--format=custom", f"--file={dump}"], database=name)
        finally:
            tools.drop_database(name, server)
    rewritten(folder, lambda said: said["dump"].update(manifest.digest_of(folder / manifest.DUMP)))


def test_a_session_left_in_a_scratch_database_does_not_keep_it(django_db_setup: None) -> None:
    name = "firebreak_left"
    with tools.connect(autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        with tools.connect(name, autocommit=True) as left:
            tools.drop_database(name, server)
            with pytest.raises(psycopg.OperationalError, match="terminat"):
                left.execute("SELECT 1")
        assert not server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall()


MIGRATED = "INSERT INTO django_migrations (app, name, applied) VALUES ('core', '9999_of_tomorrow', now())"


def migrated(said: dict[str, Any]) -> None:
    said["migrations"].append("core.9999_of_tomorrow")
    said["tables"]["django_migrations"] += 1


@pytest.mark.faults
def test_a_backup_under_load_is_whole_private_and_restores(backup: Path, places: dict[str, str]) -> None:
    for path in (backup, *backup.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    said = manifest.read(backup)
    assert {"core.0001_initial", "comms.0005_history_of_configuration"} <= set(said["migrations"])
    assert said["tables"]["core_event"] == said["streams"]["events"] > 20
    assert any("SECRET_KEY" in text for text in said["not_in_it"])
    assert (backup / "playbook" / "severities.yaml").is_file()
    done = manage("restore_check", **places)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The backup can be restored." in done.stdout
    assert not scratch_databases()

    def tomorrow(folder: Path) -> None:
        redumped(folder, MIGRATED)
        rewritten(folder, migrated)

    def cut(folder: Path) -> None:
        data = (folder / manifest.DUMP).read_bytes()
        (folder / manifest.DUMP).write_bytes(data[: len(data) // 2])

    def cut_with_hash(folder: Path) -> None:
        cut(folder)
        rewritten(folder, lambda said: said["dump"].update(manifest.digest_of(folder / manifest.DUMP)))

    def flip(folder: Path) -> None:
        data = bytearray((folder / manifest.DUMP).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / manifest.DUMP).write_bytes(data)

    damages: dict[str, tuple[Callable[[Path], object], str]] = {
        "cut": (cut, "bytes, the manifest says"),
        "one bit": (flip, "another SHA-256"),
        "cut, with a fitting hash": (cut_with_hash, "BAD restored"),
        "playbook edited": (lambda f: (f / "playbook/roles.yaml").write_text("x"), "playbook/roles.yaml has"),
        "dump missing": (lambda f: (f / manifest.DUMP).unlink(), "is missing"),
        "manifest missing": (lambda f: (f / manifest.MANIFEST).unlink(), "not a whole one"),
        "manifest cut": (lambda f: (f / manifest.MANIFEST).write_text('{"format": 1'), "cannot be read"),
        "of a later format": (lambda f: rewritten(f, lambda s: s.update(format=2)), "has format 2"),
        "of a later Firebreak": (
            tomorrow, "BAD migrations made by another Firebreak than this one: core.9999_of_tomorrow"
        ),
        "a row less": (lambda f: redumped(f, "DELETE FROM core_idempotentanswer; DELETE FROM incidents_release"), "incidents_release: 0 instead of 2"),
        "a changed event": (lambda f: redumped(f, "UPDATE core_event SET summary = 'all is well' WHERE seq = 2"), "BAD timeline"),
        "no guard any more": (lambda f: redumped(f, "DROP TRIGGER events_are_append_only ON core_event"), "nothing keeps core_event"),
    }  # fmt: skip
    for name, (damage, expected) in damages.items():
        copy = backup.parent.parent / "damaged"
        shutil.copytree(backup, copy)
        damage(copy)
        if "redumped" in damage.__code__.co_names:  # what is restored is read by a process of its own
            refused = manage("restore_check", str(copy), **places)
            assert refused.returncode == 1, f"{name}: {refused.stdout}{refused.stderr}"
            said_of_it = [" ".join(line.split()) for line in refused.stdout.splitlines()]
        else:
            found = list(check_backup(copy))
            said_of_it = [f"{'ok' if f.good else 'BAD'} {f.what} {f.detail}" for f in found]
        assert any(expected in line for line in said_of_it if line.startswith("BAD")), f"{name}: {said_of_it}"
        shutil.rmtree(copy)
    assert not scratch_databases()
    (backup / manifest.DUMP).write_bytes(b"")
    refused = manage("restore_check", str(backup), **places)
    assert refused.returncode == 1
    assert "Do NOT rely" in refused.stdout


@pytest.mark.faults
def test_only_the_newest_are_kept_and_leftovers_go(places: dict[str, str]) -> None:
    to = Path(places["BACKUP_DIR"])
    for name in ("firebreak-20200101T000000Z", "firebreak-20200102T000000Z"):
        (to / name).mkdir(parents=True)
        (to / name / manifest.MANIFEST).write_text("{}")
    (to / ".firebreak-20200103T000000Z.unfinished").mkdir()
    (to / "something-else").mkdir()
    done = manage("backup", "--keep", "2", **places)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in to.iterdir() if not path.name.startswith("."))
    assert len(names) == 3 and names[0] == "firebreak-20200102T000000Z" and names[2] == "something-else"
    assert not list(to.glob(".firebreak-*"))
    assert manage("backup", "--keep", "0", **places).returncode == 1
    assert len(list(to.iterdir())) == 4  # with the lock


def test_a_program_that_is_too_old_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    old.chmod(0o755)
    monkeypatch.setattr(postgres_programs, "candidates", lambda name: [str(old)])
    with (
        tools.connect() as server,
        pytest.raises(tools.BackupFailed, match=r"needs its pg_dump; found .* of 9"),
    ):
        tools.program("pg_dump", server)
    assert subprocess.run([str(old)], capture_output=True, check=True).stdout


def test_programs_connect_as_safely_as_the_application(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = connections["owner"].settings_dict
    options = known["OPTIONS"] | {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}
    monkeypatch.setitem(known, "OPTIONS", options)
    tools.run(["/bin/sh", "-c", 'env > "$0"', str(tmp_path / "environment")])
    given = (tmp_path / "environment").read_text().splitlines()
    assert {"PGSSLMODE=verify-full", "PGSSLROOTCERT=/etc/ca.pem", "PGCONNECT_TIMEOUT=5"} <= set(given)


def test_without_a_backup_it_says_what_to_do(places: dict[str, str]) -> None:
    done = manage("restore_check", **places)
    assert done.returncode == 1
    assert "manage.py backup" in done.stderr
