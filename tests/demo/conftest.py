"""A storefront that really runs, in a folder of its own, for the tests of the demo."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

EXECUTABLE = Path(__file__).parents[2] / "demo" / "bin" / "storefront"
DEADLINE_SECONDS = 30.0
# What the executor gives a rollback's commands.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C"}


class Storefront:
    """Starts, asks and stops one `storefront serve` through its command line and its ports."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.complaints = site.with_name("stderr")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        with self.complaints.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, EXECUTABLE, "serve", "--site", self.site, "--port", "0", *options],
                env=ENVIRONMENT,
                cwd="/",
                stderr=stderr,
            )
        self.eventually(lambda: len(self.slots()) == 2 and self.get("/health")[0] == 200)

    def verb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, EXECUTABLE, *arguments, "--site", self.site],
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def succeed(self, *arguments: str) -> str:
        """What a verb printed; it must succeed."""
        done = self.verb(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def refuse(self, *arguments: str) -> str:
        """What a verb said on standard error; it must refuse, and without a traceback."""
        done = self.verb(*arguments)
        assert done.returncode == 1, f"{arguments}: {done.stdout}{done.stderr}"
        assert done.stderr.startswith("error: ")
        return done.stderr

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        port = json.loads((self.site / "run/serve.json").read_text())["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metrics(self) -> dict[str, Any]:
        status, body = self.get("/metrics.json")
        assert status == 200
        metrics: dict[str, Any] = json.loads(body)
        return metrics

    def slots(self) -> dict[str, int]:
        """Pid of the app server in each slot that has one."""
        found = {}
        for name in ("blue", "green"):
            state = self.site / "run" / f"{name}.json"
            if state.exists():
                found[name] = int(json.loads(state.read_text())["pid"])
        return found

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        """The exit code of `serve` after this signal."""
        assert self._process is not None
        self._process.send_signal(signal_number)
        return self._process.wait(timeout=DEADLINE_SECONDS)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def eventually(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; the deadline is for a machine that is very busy."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._holds(holds):
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.1)

    @staticmethod
    def _holds(look: Callable[[], bool]) -> bool:
        try:
            return look()
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture
def storefront(tmp_path: Path) -> Iterator[Storefront]:
    """A storefront that is not started yet, is ended with the test, and had nothing to complain."""
    running = Storefront(tmp_path / "site")
    yield running
    if running.is_running():
        running.end()
    assert not running.complaints.exists() or running.complaints.read_text() == ""
