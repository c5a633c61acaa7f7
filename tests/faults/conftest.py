"""The world of a fault test, on the database of the tests or on servers of its own that it may break."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection

from core.embedded import postgres, valkey
from core.embedded.postgres import EmbeddedPostgres
from core.embedded.valkey import EmbeddedValkey
from tests.conftest import _empty_all_tables
from tests.faults import recorder
from tests.faults.world import World
from tests.rollbacks.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """For what needs no worker of its own: it runs in the test."""
    settings.VAR_DIR = tmp_path / "var"  # type: ignore[attr-defined]
    monkeypatch.setenv("HOME", str(tmp_path))
    return Workshop(tmp_path)


@pytest.fixture
def world(transactional_db: None, tmp_path: Path, settings: object) -> Iterator[World]:
    settings.VAR_DIR = tmp_path / "var"  # type: ignore[attr-defined]
    recorder.install()
    world = World(tmp_path)
    yield world
    world.stop()
    world.end_what_is_left()
    recorder.remove()


@pytest.fixture(scope="module")
def _own_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A migrated PostgreSQL that keeps what it promised, as in production."""
    folder = tmp_path_factory.mktemp("database")
    folder.chmod(0o700)
    server = EmbeddedPostgres(folder)
    server.start()
    server.ensure_database()
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v", "0"],
        env=_without_addresses() | {"VAR_DIR": str(folder)},
        cwd=django_settings.BASE_DIR,
        check=True,
    )
    yield server
    server.stop()
    shutil.rmtree(server.sockets, ignore_errors=True)


@pytest.fixture
def database(
    transactional_db: None, _own_database: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedPostgres]:
    """The test and its processes work on this server; ask for it before `world`."""
    server = _own_database
    before = {name: connection.settings_dict[name] for name in ("HOST", "NAME", "USER")}
    connection.close()
    connection.settings_dict |= {"HOST": str(server.sockets), "NAME": postgres.DATABASE, "USER": postgres.APP}
    monkeypatch.setenv("DATABASE_URL", postgres.url(server.var_dir))
    monkeypatch.setenv("DATABASE_OWNER_URL", postgres.url(server.var_dir, role=postgres.OWNER))
    yield server
    _empty_all_tables()
    connection.close()
    connection.settings_dict |= before


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedValkey]:
    """A Valkey of the test's own for the processes that it starts; ask for it before `world`."""
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o700)
    server = EmbeddedValkey(folder, durable=False)
    server.start()
    monkeypatch.setenv("REDIS_URL", valkey.url(folder))
    monkeypatch.setenv("CELERY_BROKER_URL", valkey.broker_url(folder))
    yield server
    server.stop()
    shutil.rmtree(server.sockets, ignore_errors=True)


def _without_addresses() -> dict[str, str]:
    names = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL")
    return {name: value for name, value in os.environ.items() if name not in names}
