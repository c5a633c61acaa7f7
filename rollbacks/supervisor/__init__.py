"""Commands that outlive their worker: a small detached program runs each, and whoever comes asks how it went.

A worker that dies leaves the command running under its supervisor (`program.py`). The next worker of the
host finds the folder of the attempt and takes up the waiting, or harvests the end; the claim in the folder
makes sure that the command is never begun twice.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from rollbacks.supervisor import program


class Life(enum.Enum):
    """What a folder tells of its command."""

    UNCLAIMED = "unclaimed"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    """It was begun, its supervisor is gone, and nothing says how it ended."""


@dataclass(frozen=True)
class Job:
    """One command to run once. `program` is what is executed, `argv` what it is told it is."""

    program: str
    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    timeout_seconds: float
    no_output_timeout_seconds: float | None
    limits: Mapping[str, int | None]


@dataclass(frozen=True)
class Ended:
    """How a command ended: "exited", "timed_out", "silent" or "cancelled"; who would not die."""

    ending: str
    exit_code: int | None
    survivors: int
    output_bytes: int


def prepare(run_dir: Path) -> None:
    """Make the folder of one attempt, durably: it is there before anything may have begun."""
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (run_dir, run_dir.parent):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(opened)
        os.close(opened)


def start(run_dir: Path, job: Job) -> subprocess.Popen[bytes]:
    """Start a supervisor for the folder. Of two for one folder the slower ends without doing anything."""
    if not (run_dir / "job.json").exists():
        program.write_whole(run_dir / "job.json", {**vars(job), "limits": dict(job.limits)})
    failing = {key: os.environ[key] for key in ("FIREBREAK_FAILPOINT",) if key in os.environ}
    with (run_dir / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", program.__file__, str(run_dir)],
            env={"PATH": os.defpath, "LANG": "C.UTF-8", **failing},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def look(run_dir: Path) -> Life:
    """How the folder's command stands now."""
    if (run_dir / "exit.json").exists():
        return Life.ENDED
    claim = _read(run_dir / "claim")
    if claim is None:
        # A claim without content: its supervisor died between making and writing it.
        return Life.LOST if _is_old_claim(run_dir) else Life.UNCLAIMED
    if program.is_alive(claim):
        return Life.RUNNING
    return Life.ENDED if (run_dir / "exit.json").exists() else Life.LOST


def ended(run_dir: Path) -> Ended:
    """How the command ended; only when `look` says so."""
    said = json.loads((run_dir / "exit.json").read_bytes())
    return Ended(**{name: said[name] for name in ("ending", "exit_code", "survivors", "output_bytes")})


def ask_to_stop(run_dir: Path) -> None:
    """Have the command ended with its whole tree; its supervisor sees it within a tenth of a second."""
    (run_dir / "stop").touch()


def forbid(run_dir: Path) -> bool:
    """Take the claim ourselves, so that the command can never begin; False when somebody has it."""
    try:
        os.close(os.open(run_dir / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def end_leftovers(run_dir: Path) -> int:
    """End what still runs of a command whose supervisor is gone; returns how many processes there were.

    The child is known by pid and start ticks; what left its session is known by the command's own
    environment, which names the installation, the rollback and the step.
    """
    child = _read(run_dir / "child.json")
    environment = (_read(run_dir / "job.json") or {}).get("environment", {})
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_child = child is not None and process.pid == child["pid"] and program.is_alive(child)
            if is_child or _is_of(process, environment):
                found[process.pid] = process
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in found.values():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
    psutil.wait_procs(list(found.values()), timeout=5)
    return len(found)


def _is_of(process: psutil.Process, environment: Mapping[str, str]) -> bool:
    theirs = process.environ()
    return bool(environment) and all(theirs.get(name) == value for name, value in environment.items())


def _is_old_claim(run_dir: Path) -> bool:
    try:
        return time.time() - (run_dir / "claim").stat().st_mtime > 5
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found
