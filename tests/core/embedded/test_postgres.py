"""The embedded PostgreSQL keeps its data through every way of dying, and its roles keep theirs."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import environ
import psycopg
import pytest

from core.embedded import postgres
from core.embedded.folders import NotPrivate, socket_dir
from core.embedded.postgres import APP, OWNER, EmbeddedPostgres, url
from core.embedded.server import ServerFailed


@pytest.fixture
def server(var_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(var_dir, durable=False)
    server.start()
    server.ensure_database()
    yield server
    server.stop()


def _as(role: str, server: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(url(server.var_dir, role=role), autocommit=True)


def _write_row(server: EmbeddedPostgres) -> None:
    with _as(OWNER, server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def _row(server: EmbeddedPostgres) -> object:
    with _as(OWNER, server) as connection:
        return connection.execute("SELECT answer FROM kept").fetchone()


def test_committed_rows_survive_a_killed_postmaster(var_dir: Path) -> None:
    server = EmbeddedPostgres(var_dir, durable=True)
    server.start()
    try:
        server.ensure_database()
        _write_row(server)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        while server.alive():
            time.sleep(0.01)
        server.start()
        assert _row(server) == (42,)
    finally:
        server.stop()


def test_a_pid_file_naming_a_living_stranger_does_not_stop_the_start(
    server: EmbeddedPostgres,
) -> None:
    _write_row(server)
    locks = [server.data / "postmaster.pid", server.sockets / ".s.PGSQL.5432.lock"]
    contents = [lock.read_text().partition("\n")[2] for lock in locks]
    server.stop()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        for lock, content in zip(locks, contents, strict=True):
            lock.write_text(f"{stranger.pid}\n{content}")
        try:
            server.start()
        finally:
            stranger.kill()
    assert _row(server) == (42,)


def test_an_interrupted_initdb_is_done_again(var_dir: Path) -> None:
    unfinished = var_dir / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")  # initdb writes it first, not last
    server = EmbeddedPostgres(var_dir, durable=False)
    server.start()
    server.stop()
    assert (var_dir / "postgres" / "global" / "pg_control").exists()
    assert not unfinished.exists()


def test_data_of_another_major_version_is_named_not_touched(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerFailed, match=r"written by PostgreSQL 16.*pg_upgrade"):
        server.start()


def test_the_application_role_creates_nothing(server: EmbeddedPostgres) -> None:
    with _as(APP, server) as connection:
        for statement in (
            "CREATE TABLE stolen ()",
            "CREATE TEMPORARY TABLE stolen ()",
            "CREATE SCHEMA stolen",
            "CREATE DATABASE stolen",
            "CREATE ROLE stolen",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_owner_role_creates_tables_and_databases_and_is_no_superuser(
    server: EmbeddedPostgres,
) -> None:
    with _as(OWNER, server) as connection:
        connection.execute("CREATE TABLE mine ()")
        connection.execute("CREATE DATABASE test_mine")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_read_file('/etc/passwd')")


def test_ensuring_a_database_again_changes_nothing(server: EmbeddedPostgres) -> None:
    _write_row(server)
    server.ensure_database()
    assert _row(server) == (42,)


def test_it_listens_on_no_port_and_lets_nobody_else_in(server: EmbeddedPostgres) -> None:
    with _as(APP, server) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    for folder in (server.sockets, server.data, server.log.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.log.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["long" * 50, "with space, comma and %"])
def test_awkward_paths_get_a_short_socket_folder(var_dir: Path, name: str) -> None:
    awkward = var_dir / name
    server = EmbeddedPostgres(awkward, durable=False)
    try:
        server.start()
        server.ensure_database()
        assert server.sockets.parent == Path("/tmp")
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
        with _as(APP, server) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (APP,)
    finally:
        server.stop()
        server.sockets.rmdir()


def test_libpq_and_django_read_the_same_address(var_dir: Path) -> None:
    address = url(var_dir, role=OWNER, database="other")
    django = environ.Env.db_url_config(address)
    libpq = psycopg.conninfo.conninfo_to_dict(address)
    assert libpq == {"user": OWNER, "dbname": "other", "host": str(socket_dir(var_dir))}
    assert (django["USER"], django["NAME"], django["OPTIONS"]) == (
        OWNER,
        "other",
        {"host": libpq["host"]},
    )
    assert django["HOST"] == ""


@pytest.mark.parametrize("trap", ["open", "link"])
def test_a_socket_folder_prepared_by_somebody_else_is_refused(var_dir: Path, trap: str) -> None:
    server = EmbeddedPostgres(var_dir)
    if trap == "open":
        server.sockets.mkdir()
        server.sockets.chmod(0o777)
    else:
        (var_dir / "elsewhere").mkdir(mode=0o700)
        server.sockets.symlink_to(var_dir / "elsewhere")
    with pytest.raises(NotPrivate):
        server.start()


def test_root_is_refused(var_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ServerFailed, match=r"core\.embedded\.unprivileged"):
        EmbeddedPostgres(var_dir).start()


def test_a_server_of_somebody_else_in_the_folder_is_left_alone(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "DYING_SECONDS", 0.2)
    with pytest.raises(ServerFailed, match=r"Another PostgreSQL \(pid \d+\)"):
        EmbeddedPostgres(server.var_dir).start()
    assert server.is_ready()
