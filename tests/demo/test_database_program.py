"""The database rollback on a real PostgreSQL: beside the old database, checked, switched, undone, killed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as firebreak
from django.db import connections

from demo.procedures.postgres import dumps
from demo.procedures.postgres.server import Target, open_server
from demo.procedures.program import Refused
from tests.demo.programs import ROLLBACK, Program

pytestmark = pytest.mark.faults  # `make test` runs this program in the story and in the procedures

CHECK = ("--check", "SELECT count(*) > 0 FROM orders")


@dataclass
class Orders:
    """A database of 100 orders, which are in a backup, and two more that came after it."""

    name: str
    backup: str
    store: Path
    connection: Path
    program: Program

    @property
    def fresh(self) -> str:
        return f"{self.name}_restore_20261128_0001"

    @property
    def before(self) -> str:
        return f"{self.name}_before_20261128_0001"

    def rows(self, name: str = "") -> int:
        with _connect(name or self.name) as connection:
            row = connection.execute("SELECT count(*) FROM orders").fetchone()
            assert row is not None
            return int(row[0])

    def words(self, *more: str) -> tuple[str, ...]:
        return ("--ref", ROLLBACK, self.backup, *more)


def _address() -> dict[str, Any]:
    """Where the tests' server is, as a role that is no superuser."""
    known = connections["owner"].get_connection_params()
    return {key: known[key] for key in ("host", "port", "user", "password") if known.get(key)}


def _connect(name: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dbname=name, autocommit=True, **_address())


def _databases(like: str) -> set[str]:
    with _connect("postgres") as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{like}%"])
        return {name for (name,) in rows}


@pytest.fixture
def connection_file(tmp_path: Path) -> Path:
    file = tmp_path / "connection.conf"
    file.touch(mode=0o600)
    file.write_text("[shop]\n" + "".join(f"{key}={value}\n" for key, value in _address().items()))
    return file


@pytest.fixture
def orders(tmp_path: Path, connection_file: Path) -> Iterator[Orders]:
    name, store = f"shop_{uuid.uuid4().hex[:8]}", tmp_path / "backups"
    program = Program(
        "database", "--connection", connection_file, "--store", store, "--database", name
    )  # fmt: skip
    program.succeed("make-demo")
    program.succeed("back-up", "--label", "nightly")
    with _connect(name) as connection:
        connection.execute("INSERT INTO orders (product, pieces) VALUES ('vase', 1), ('vase', 2)")
    yield Orders(name, f"{name}-nightly", store, connection_file, program)
    with _connect("postgres") as connection:
        for left in _databases(name):
            connection.execute(f"DROP DATABASE {left}".encode())


def test_a_backup_is_restored_beside_checked_switched_to_and_undone(orders: Orders) -> None:
    program, words = orders.program, orders.words()
    program.succeed("check")
    assert "100 rows" in program.succeed("verify-backup", orders.backup)
    program.refuse("read-back", *orders.words("restored"))

    program.succeed("restore", *words)
    assert (orders.rows(), orders.rows(orders.fresh)) == (102, 100)
    assert "1 checks are true" in program.succeed("check-integrity", *CHECK, *words)
    program.succeed("read-back", *orders.words("restored"))
    assert "is not switched" in program.refuse("read-back", *orders.words("switched"))

    with _connect(orders.name) as shop:  # somebody works in it
        program.succeed("switch", *words)
        with pytest.raises(psycopg.OperationalError):
            shop.execute("SELECT 1")
    assert (orders.rows(), orders.rows(orders.before)) == (100, 102)
    program.succeed("read-back", *orders.words("switched"))
    program.succeed("check-integrity", "--live", *CHECK, *words)

    program.succeed("switch", *words)  # every verb may be run again
    assert "was switched by this rollback" in program.refuse("restore", *words)
    for _ in range(2):
        program.succeed("undo", "--ref", ROLLBACK)
    assert (orders.rows(), orders.rows(orders.fresh)) == (102, 100)
    program.succeed("restore", *words)
    program.succeed("switch", *words)
    assert orders.rows() == 100
    assert list(program.succeed("list-backups").split()) == [orders.backup]


def test_rights_and_settings_of_the_database_come_with_it(orders: Orders) -> None:
    app = firebreak.settings_dict["USER"]
    with _connect("postgres") as server:
        for statement in (
            f"REVOKE ALL ON DATABASE {orders.name} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {orders.name} TO {app}",
            f"""ALTER DATABASE {orders.name} SET search_path = "$user", 'it''s', public""",
            f"ALTER DATABASE {orders.name} SET work_mem = '8MB'",
        ):
            server.execute(statement.encode())
        question = (
            "SELECT datacl::text[], (SELECT array_agg(s ORDER BY s) FROM pg_db_role_setting, unnest(setconfig) s"
            " WHERE setdatabase = d.oid), encoding, datcollate, datctype, datlocprovider, datdba"
            " FROM pg_database d WHERE datname = %s"
        )
        old = server.execute(question, [orders.name]).fetchone()
        assert old is not None and len(old[1]) == 2
        orders.program.succeed("restore", *orders.words())
        fresh = server.execute(question, [orders.fresh]).fetchone()
        assert fresh is not None
        assert (sorted(fresh[0]), *fresh[1:]) == (sorted(old[0]), *old[1:])


def test_killed_in_the_middle_of_the_restore_the_old_database_serves_and_the_next_attempt_is_whole(
    orders: Orders,
) -> None:
    with _connect(orders.name) as shop:
        shop.execute(
            "CREATE TABLE large AS SELECT n, repeat(md5(n::text), 20) t FROM generate_series(1, 60000) n"
        )
    orders.program.succeed("back-up", "--label", "large")
    backup = f"{orders.name}-large"

    running = orders.program.start("restore", "--ref", ROLLBACK, backup)
    with contextlib.suppress(ProcessLookupError):
        deadline = time.monotonic() + 60
        while not _is_restoring(orders.fresh):
            assert time.monotonic() < deadline and running.poll() is None
        os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert orders.rows() == 102
    orders.program.refuse("read-back", "--ref", ROLLBACK, backup, "restored")
    assert "is not restored into" in orders.program.refuse("switch", "--ref", ROLLBACK, backup)
    assert orders.rows() == 102

    orders.program.succeed("restore", "--ref", ROLLBACK, backup)
    orders.program.succeed("check-integrity", "--ref", ROLLBACK, backup)
    orders.program.succeed("read-back", "--ref", ROLLBACK, backup, "restored")


def _is_restoring(name: str) -> bool:
    with _connect("postgres") as server:
        found = server.execute(
            "SELECT FROM pg_stat_activity WHERE datname = %s AND application_name = 'pg_restore'", [name]
        )
        return found.fetchone() is not None


def test_killed_in_the_middle_of_the_switch_every_name_is_as_it_was(orders: Orders) -> None:
    orders.program.succeed("restore", *orders.words())
    with _connect("postgres") as holding:
        holding.execute("BEGIN")
        # The second rename has to wait for this, the first is done by then.
        holding.execute(f"COMMENT ON DATABASE {orders.fresh} IS 'held'".encode())
        running = orders.program.start("switch", *orders.words())
        deadline = time.monotonic() + 30
        while not _waits_for_a_lock():
            assert time.monotonic() < deadline and running.poll() is None
        os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        holding.execute("ROLLBACK")
    assert _databases(orders.name) == {orders.name, orders.fresh}
    assert orders.rows() == 102
    orders.program.refuse("read-back", *orders.words("switched"))
    orders.program.succeed("switch", *orders.words())
    assert orders.rows() == 100


def _waits_for_a_lock() -> bool:
    with _connect("postgres") as server:
        found = server.execute(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER DATABASE%RENAME%'"
        )
        return found.fetchone() is not None


def test_a_restored_database_that_differs_from_the_dump_is_never_well(orders: Orders) -> None:
    orders.program.succeed("restore", *orders.words())
    failing = ("--check", "SELECT count(*) > 1000 FROM orders")
    assert "is not true" in orders.program.refuse("check-integrity", *failing, *orders.words())
    writing = ("--check", "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT true FROM gone")
    assert "read-only" in orders.program.refuse("check-integrity", *writing, *orders.words())
    with _connect(orders.fresh) as restored:
        restored.execute("DELETE FROM orders WHERE id = 1")
    complaint = orders.program.refuse("check-integrity", *orders.words())
    assert "public.orders has 99 rows, the dump has 100" in complaint


def test_a_backup_that_was_changed_or_is_anothers_is_not_restored(orders: Orders) -> None:
    program, dump = orders.program, orders.store / f"{orders.backup}.dump"
    description = orders.store / f"{orders.backup}.json"
    good, said = dump.read_bytes(), description.read_text()
    assert (orders.store.stat().st_mode & 0o777, dump.stat().st_mode & 0o777) == (0o700, 0o600)

    dump.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert "missing or was changed" in program.refuse("restore", *orders.words())
    dump.write_bytes(good)
    description.write_text(json.dumps({**json.loads(said), "rows": {}}))
    assert "not sealed here, or was changed" in program.refuse("restore", *orders.words())
    description.write_text(said)
    other = Program(
        "database", "--connection", orders.connection, "--store", orders.store, "--database", "other"
    )  # fmt: skip
    for suffix in ("dump", "json"):
        shutil.copy(orders.store / f"{orders.backup}.{suffix}", orders.store / f"other-nightly.{suffix}")
    with _connect("postgres") as server:
        server.execute("CREATE DATABASE other")
        try:
            assert f"is of {orders.name}, not of other" in other.refuse("verify-backup", "other-nightly")
        finally:
            server.execute("DROP DATABASE other")
    assert "there is no backup" in program.refuse("restore", "--ref", ROLLBACK, f"{orders.name}-never")
    assert _databases(orders.name) == {orders.name}


@pytest.mark.django_db
def test_firebreaks_own_database_is_refused_by_every_verb(orders: Orders) -> None:
    """Without DATABASE_URL: what is in the database says it."""
    own = str(firebreak.settings_dict["NAME"])
    program = Program(
        "database", "--connection", orders.connection, "--store", orders.store, "--database", own
    )  # fmt: skip
    words = ("--ref", ROLLBACK, f"{own}-nightly")
    for verb in (
        ("check",), ("back-up", "--label", "x"), ("verify-backup", f"{own}-nightly"), ("restore", *words),
        ("check-integrity", "--live", *words), ("switch", *words),
    ):  # fmt: skip
        assert "is a database of Firebreak" in program.refuse(*verb) or verb[0] in (
            "check-integrity",
            "switch",
        )
    for name in ("postgres", "template1", "x; DROP TABLE y", "a" * 31, "--help"):
        Program(
            "database", "--connection", orders.connection, "--store", orders.store, f"--database={name}"
        ).misuse("check")  # fmt: skip


def test_too_little_space_stops_it_before_anything_is_made(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(open_server(orders.connection), orders.name, "postgres")
    store = dumps.open_store(orders.store)
    dumps.require_space(target, store)
    with _connect("postgres") as server:
        row = server.execute("SELECT pg_database_size(%s)", [orders.name]).fetchone()
    assert row is not None
    free = int(row[0]) * 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: shutil._ntuple_diskusage(0, 0, free))
    for attempt in (lambda: dumps.require_space(target, store), lambda: dumps.back_up(target, store, "x")):
        with pytest.raises(Refused, match=rf"{free} bytes free, 2.5 times .* are needed"):
            attempt()
    assert not list(orders.store.glob("*-x*"))


def test_a_connection_file_or_store_that_others_can_read_is_refused(orders: Orders) -> None:
    orders.connection.chmod(0o640)
    assert "open to other accounts" in orders.program.refuse("check")
    orders.connection.chmod(0o600)
    orders.store.chmod(0o755)
    assert "open to other accounts" in orders.program.refuse("check")
    orders.store.chmod(0o700)
    orders.connection.write_text("[a]\nhost=/nowhere\n[b]\n")
    assert "exactly one section" in orders.program.refuse("check")
    orders.connection.write_text("[a]\nhost=/nowhere\n")
    assert "nowhere" in orders.program.refuse("check")


def test_a_worker_that_was_replaced_neither_restores_nor_switches(orders: Orders) -> None:
    program = orders.program
    program.environment["FIREBREAK_FENCE"] = "5"
    program.succeed("restore", *orders.words())
    program.environment["FIREBREAK_FENCE"] = "4"
    for verb in ("restore", "switch"):
        assert "is behind 5" in program.refuse(verb, *orders.words())
    assert _databases(orders.name) == {orders.name, orders.fresh}
