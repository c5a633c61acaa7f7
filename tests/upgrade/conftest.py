"""An older Firebreak beside this one: its code out of git, its own processes, one database for both."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.backup import tools
from tests.flows.stack import Firebreak, free_ports
from tests.processes import database_environment
from tests.upgrade.versions import ROOT, Version

# The version before the history of configuration: what it did must go on working on today's schema.
BASE = "78db340"
DATABASE = "firebreak_upgrade"


@pytest.fixture(scope="session")
def old_code() -> Iterator[Path]:
    """The checkout of BASE. Without git's history there is nothing to compare with: skipped, saying so."""
    folder = Path(tempfile.mkdtemp(prefix="fb-old-", dir="/tmp"))
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "archive", BASE]
    try:
        archive = subprocess.run(git, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("git is not installed: the version before cannot be had")
    if archive.returncode != 0:
        said = archive.stderr.decode().strip()
        pytest.skip(f"commit {BASE} is not in this clone's history (a shallow clone?): {said}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(django_db_setup: None) -> Iterator[str]:
    """An empty database of the owner's on the tests' server."""
    with tools.connect(autocommit=True) as server:
        tools.drop_database(DATABASE, server)
        server.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        yield DATABASE
        tools.drop_database(DATABASE, server)


@pytest.fixture
def versions(old_code: Path, database: str, tmp_path: Path) -> Iterator[tuple[Version, Version]]:
    """The version before and this one, on one database."""
    ports = free_ports(2)
    both = tuple(
        Version(
            root,
            port,
            database_environment(database)
            | {
                "VAR_DIR": str(tmp_path / name),
                "PORT": str(port),
                "SECRET_KEY": "k" * 50,
                "LOG_LEVEL": "WARNING",
            },
            tmp_path / f"{name}.log",
        )
        for name, root, port in (("old", old_code, ports[0]), ("new", ROOT, ports[1]))
    )
    yield both[0], both[1]
    for version in both:
        version.stop()


@pytest.fixture
def ended() -> Iterator[Callable[[Firebreak], Firebreak]]:
    """Whole installations that are stopped after the test, whatever happened."""
    started: list[Firebreak] = []

    def watch(firebreak: Firebreak) -> Firebreak:
        started.append(firebreak)
        return firebreak

    yield watch
    for firebreak in started:
        if firebreak.process is not None and firebreak.process.poll() is None:
            firebreak.stop()
