"""What a fault test breaks: workers, supervisors and servers as processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from comms.models import Contact
from core.actors import Actor
from core.embedded.postgres import EmbeddedPostgres
from core.embedded.supervisor import parse_procfile
from incidents.models import Incident
from incidents.states import AUDIENCES
from rollbacks import supervisor
from rollbacks.models import Rollback
from rollbacks.supervisor import Life
from tests.processes import database_environment
from tests.rollbacks.workshop import Workshop, ask

T = TypeVar("T")
SECRET = "hunter2-of-the-fault-tests"
CHANGE: dict[str, Any] = {
    "key": "change", "command": "switch_version", "mutating": True, "verify_after": "release_is_back",
}  # fmt: skip
MOMENT = {"kind": "wait", "duration": "100ms"}


class World:
    """The workshop's playbook on disk, the site that its change changes, and the workers that run it."""

    def __init__(self, folder: Path) -> None:
        self.workshop = Workshop(folder)
        self.var_dir = folder / "var"
        self.var_dir.mkdir(mode=0o700)
        self.struck = folder / "failpoint-struck"
        self.site = folder / "site"
        self.log = folder / "workers.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        Contact.objects.create(name="On call", email="oncall@example.test", audiences=list(AUDIENCES))

    # --- the procedure ------------------------------------------------------------------------------

    def one_change(self, code: str = "", **more: Any) -> None:
        """A procedure of one change: it signs the ledger, does `code`, and at last puts the version on the
        site, where its read-back looks. It says a secret, which nobody may ever see."""
        self.workshop.only({**CHANGE, **more})
        self.workshop.steps(validate=[{"key": "before", **MOMENT}], verify=[{"key": "after", **MOMENT}])
        self.workshop.command(
            "switch_version", f"print('password={SECRET}', flush=True)\n{code}\n{self.effect()}"
        )
        self.workshop.command("release_is_back", f"sys.exit({self.effect_is_missing()})")

    def effect(self) -> str:
        """Code that makes the target live on the site, at once and whole."""
        place = str(self.site / "live")
        return (
            f"os.makedirs({str(self.site)!r}, exist_ok=True); new = {place!r} + str(os.getpid())\n"
            f"open(new, 'w').write(sys.argv[1]); os.rename(new, {place!r})"
        )

    def effect_is_missing(self) -> str:
        place = str(self.site / "live")
        return f"not (os.path.exists({place!r}) and open({place!r}).read() == sys.argv[1])"

    def asked(self, incident: Incident, actor: Actor, **more: Any) -> Rollback:
        with self.workshop.open():
            return ask(incident, actor, **more)

    # --- processes ----------------------------------------------------------------------------------

    def worker(self, *, failpoint: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """Start one more worker; it dies at the failpoint, as by kill -9."""
        if failpoint:
            environment["FIREBREAK_FAILPOINT"] = f"{failpoint}@{self.struck}"
        return self.start([sys.executable, "-m", "tests.faults.worker"], **environment)

    def of_procfile(self, name: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process as `make run` does; several of a name are several nodes."""
        values = {"VAR_DIR": str(self.var_dir), "HOST": "127.0.0.1", "PORT": "8000"} | environment
        argv = parse_procfile(settings.BASE_DIR / "Procfile", values)[name]
        number = len(self.processes)
        words = [word.replace("@%h", f"{number}@%h").replace("beat.db", f"beat{number}.db") for word in argv]
        return self.start([sys.executable if word == "python" else word for word in words], **environment)

    def start(self, argv: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        ours = {
            "HOME": str(self.var_dir.parent),
            "VAR_DIR": str(self.var_dir),
            "PLAYBOOK_DIR": str(self.workshop.write()),
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                argv,
                env=database_environment() | ours | environment,
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Ask all processes to end, and see to it."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def run_dirs(self, rollback: Rollback) -> list[Path]:
        return sorted((self.var_dir / "runs" / rollback.ref).glob("*"))

    def kill_supervisor(self, run_dir: Path) -> None:
        """kill -9 whoever supervises the command of this folder, if it still runs."""
        claim = supervisor._read(run_dir / "claim")
        if claim is not None and supervisor.look(run_dir) is Life.RUNNING:
            os.kill(claim["pid"], signal.SIGKILL)

    def kill_commands(self, rollback: Rollback) -> None:
        for process in self.left_of(rollback):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def left_of(self, rollback: Rollback) -> list[psutil.Process]:
        """Every living process that a command of the rollback left behind, whatever became of its parents."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                theirs = process.environ()
                ours = (theirs.get("FIREBREAK_ROLLBACK"), theirs.get("HOME")) == (
                    rollback.ref,
                    str(self.var_dir.parent),
                )
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end_what_is_left(self) -> None:
        """After a test that failed: nothing of it may run on."""
        for run_dir in (self.var_dir / "runs").glob("*/*"):
            with contextlib.suppress(OSError, ValueError):
                self.kill_supervisor(run_dir)
                supervisor.end_leftovers(run_dir)

    def check(self, *rollbacks: Rollback) -> None:
        """What must hold now that it is over: see invariants."""
        from tests.faults import invariants

        invariants.check(self, *rollbacks)

    # --- waiting ------------------------------------------------------------------------------------

    def until(self, look: Callable[[], T | None], what: str, seconds: float = 90) -> T:
        """The first true value of `look`; the database may be away meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := look():
                    return found
            except (OperationalError, InterfaceError):
                connection.close()
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds:.0f} s for {what}:\n{self.log.read_text()[-4000:]}")

    def until_rest(self, rollback: Rollback, seconds: float = 90) -> Rollback:
        """Until the rollback has ended or waits for a person."""

        def rests() -> bool:
            rollback.refresh_from_db()
            return rollback.due_at is None

        self.until(rests, f"{rollback.ref} to come to rest", seconds)
        return rollback

    def until_ran(self, command: str, seconds: float = 90) -> None:
        self.until(lambda: command in self.workshop.ran, f"{command} to run", seconds)

    def until_state(self, rollback: Rollback, state: str, seconds: float = 90) -> None:
        def is_there() -> bool:
            rollback.refresh_from_db()
            return rollback.state == state

        self.until(is_there, f"{rollback.ref} to be {state}", seconds)


def restart_immediately(database: EmbeddedPostgres) -> None:
    """As a crash: sessions are cut off, nothing is written in order; it recovers from its log."""
    pid = database.pid
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    database.start()
