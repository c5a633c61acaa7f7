"""The servers of one VAR_DIR as a whole: one at a time, started in order, with their addresses."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.embedded import postgres, valkey
from core.embedded.folders import own_dir
from core.embedded.postgres import EmbeddedPostgres
from core.embedded.server import EmbeddedServer
from core.embedded.valkey import EmbeddedValkey


class StackAlreadyRunning(RuntimeError):
    """Another process runs the servers of this VAR_DIR."""


@dataclass(frozen=True)
class Stack:
    """A running stack: `env` for the processes that use it, `servers` for who watches over it."""

    env: dict[str, str]
    servers: tuple[EmbeddedServer, ...]


@contextlib.contextmanager
def open_stack(
    var_dir: Path, environ: Mapping[str, str] = os.environ, *, durable: bool = True
) -> Iterator[Stack]:
    """Start the embedded servers that `environ` does not replace; stop them at exit, last first.

    DATABASE_URL replaces PostgreSQL, REDIS_URL or CELERY_BROKER_URL replaces Valkey. `env` has
    VAR_DIR and the addresses that are known: DATABASE_URL, DATABASE_OWNER_URL, REDIS_URL,
    CELERY_BROKER_URL.
    Raises StackAlreadyRunning, ServerFailed and NotPrivate.
    """
    var_dir = own_dir(var_dir.resolve())
    names = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL")
    env = {name: environ[name] for name in names if environ.get(name)} | {"VAR_DIR": str(var_dir)}
    servers: list[EmbeddedServer] = []
    with _only_one(var_dir), contextlib.ExitStack() as running:
        if "DATABASE_URL" not in env:
            database = EmbeddedPostgres(var_dir, durable=durable)
            running.callback(database.stop)
            database.start()
            database.ensure_database()
            servers.append(database)
            env["DATABASE_URL"] = postgres.url(var_dir)
            env["DATABASE_OWNER_URL"] = postgres.url(var_dir, role=postgres.OWNER)
        if "REDIS_URL" not in env and "CELERY_BROKER_URL" not in env:
            broker = EmbeddedValkey(var_dir, durable=durable)
            running.callback(broker.stop)
            broker.start()
            servers.append(broker)
            env["REDIS_URL"] = valkey.url(var_dir)
        if "CELERY_BROKER_URL" not in env:
            env["CELERY_BROKER_URL"] = valkey.broker_url_from(env["REDIS_URL"])
        yield Stack(env, tuple(servers))


def secret_key(var_dir: Path) -> str:
    """The secret of this VAR_DIR for signing, made at the first call and kept in a 0600 file."""
    return _kept(var_dir, "secret_key", lambda: secrets.token_urlsafe(48))


def encryption_key(var_dir: Path) -> str:
    """The key of this VAR_DIR for secrets at rest (32 bytes in base64), made and kept as `secret_key` is."""
    return _kept(var_dir, "encryption_key", lambda: base64.urlsafe_b64encode(os.urandom(32)).decode())


def _kept(var_dir: Path, name: str, make: Callable[[], str]) -> str:
    path = var_dir / name
    if not path.exists():
        var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=var_dir, prefix=f".{name}.") as draft:
            draft.write(make())
            draft.flush()
            # Linked when complete: of two first processes one wins, and none reads half a key.
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text()


@contextlib.contextmanager
def _only_one(var_dir: Path) -> Iterator[None]:
    # The kernel releases the lock with its holder, also after kill -9: it is never stale.
    with (var_dir / "supervisor.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StackAlreadyRunning(
                f"Firebreak is already running in {var_dir} (pid {lock.read().strip()}):"
                " stop it, or set VAR_DIR to run a second one."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
