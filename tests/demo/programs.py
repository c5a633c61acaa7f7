"""The programs behind the procedures, run as the executor runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BIN = Path(__file__).parents[2] / "demo" / "bin"
ROLLBACK = "RB-2026-11-28-0001"


class Program:
    """One program of demo/bin with the options that every verb of it is given."""

    def __init__(self, name: str, *always: str | Path) -> None:
        self.name, self.always = name, always
        # What the executor gives a rollback's commands, and no more.
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "FIREBREAK_ROLLBACK": ROLLBACK,
            "FIREBREAK_STEP": "step",
            "FIREBREAK_FENCE": "1",
        }

    def argv(self, verb: str, *words: str | Path) -> list[str | Path]:
        return [sys.executable, BIN / self.name, verb, *self.always, *words]

    def run(self, verb: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(verb, *words),
            env=self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, verb: str, *words: str | Path) -> subprocess.Popen[bytes]:
        """Begin it; it is the leader of a session, so that a test can end it with its children."""
        return subprocess.Popen(
            self.argv(verb, *words),
            env=self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def succeed(self, verb: str, *words: str | Path) -> str:
        """What it printed; it must have done it."""
        done = self.run(verb, *words)
        assert done.returncode == 0, f"{verb} {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def refuse(self, verb: str, *words: str | Path) -> str:
        """Its one line on standard error; it must not have done it."""
        done = self.run(verb, *words)
        assert done.returncode == 1, f"{verb} {words}: {done.stdout}{done.stderr}"
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def misuse(self, verb: str, *words: str | Path) -> str:
        """Its complaint; it must say that it was asked wrongly."""
        done = self.run(verb, *words)
        assert done.returncode == 2, f"{verb} {words}: {done.stdout}{done.stderr}"
        return done.stderr
