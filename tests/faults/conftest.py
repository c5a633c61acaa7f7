"""Workers as processes of their own, which a test breaks; they work on the database of the test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from django.conf import settings

from rollbacks import supervisor
from rollbacks.models import Rollback
from rollbacks.supervisor import Life
from tests.faults import invariants
from tests.processes import database_environment
from tests.rollbacks.workshop import Workshop

T = TypeVar("T")


class World:
    """The workshop's playbook on disk, and the workers that run it."""

    def __init__(self, folder: Path) -> None:
        self.workshop = Workshop(folder)
        self.var_dir = folder / "var"
        self.var_dir.mkdir(mode=0o700)
        self.struck = folder / "failpoint-struck"
        self._log = folder / "workers.log"
        self._workers: list[subprocess.Popen[bytes]] = []

    def worker(self, *, failpoint: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """Start one more worker; it dies at the failpoint, as by kill -9."""
        ours = {
            "HOME": str(self.var_dir.parent),
            "VAR_DIR": str(self.var_dir),
            "PLAYBOOK_DIR": str(self.workshop.write()),
        }
        if failpoint:
            ours["FIREBREAK_FAILPOINT"] = f"{failpoint}@{self.struck}"
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker"],
                env=database_environment() | ours | environment,
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._workers.append(worker)
        return worker

    def until(self, look: Callable[[], T | None], what: str, seconds: float = 60) -> T:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds:.0f} s for {what}:\n{self._log.read_text()[-4000:]}")

    def until_rest(self, rollback: Rollback, seconds: float = 60) -> Rollback:
        """Until the rollback has ended or waits for a person."""

        def rests() -> bool:
            rollback.refresh_from_db()
            return rollback.due_at is None

        self.until(rests, f"{rollback.ref} to come to rest", seconds)
        return rollback

    def until_ran(self, command: str, seconds: float = 60) -> None:
        self.until(lambda: command in self.workshop.ran, f"{command} to run", seconds)

    def run_dirs(self, rollback: Rollback) -> list[Path]:
        return sorted((self.var_dir / "runs" / rollback.ref).glob("*"))

    def kill_supervisor(self, run_dir: Path) -> None:
        """kill -9 whoever supervises the command of this folder, if it still runs."""
        claim = supervisor._read(run_dir / "claim")
        if claim is not None and supervisor.look(run_dir) is Life.RUNNING:
            os.kill(claim["pid"], signal.SIGKILL)

    def check(self, *rollbacks: Rollback) -> None:
        self.stop()
        invariants.check(self.workshop, *rollbacks)

    def stop(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.terminate()
        for worker in self._workers:
            try:
                worker.wait(40)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._workers.clear()

    def end_what_is_left(self) -> None:
        """After a test that failed: nothing of it may run on."""
        for run_dir in (self.var_dir / "runs").glob("*/*"):
            with contextlib.suppress(OSError, ValueError):
                self.kill_supervisor(run_dir)
                supervisor.end_leftovers(run_dir)


@pytest.fixture
def workshop(tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """For what needs no worker of its own: it runs in the test."""
    settings.VAR_DIR = tmp_path / "var"  # type: ignore[attr-defined]
    monkeypatch.setenv("HOME", str(tmp_path))
    return Workshop(tmp_path)


@pytest.fixture
def world(tmp_path: Path, settings: object) -> Iterator[World]:
    settings.VAR_DIR = tmp_path / "var"  # type: ignore[attr-defined]
    world = World(tmp_path)
    yield world
    world.stop()
    world.end_what_is_left()
