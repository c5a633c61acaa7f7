"""One version of Firebreak: its manage.py and its web process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.flows.stack import wait_for

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Version:
    root: Path
    port: int
    environment: dict[str, str]
    log: Path
    token: str = ""
    process: subprocess.Popen[bytes] | None = None

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, f"{self.root} manage.py {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_web(self) -> None:
        """Start the web process and wait until it answers anything at all."""
        argv = ["-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *argv, "--workers", "1", "--log-level", "warning", "config.asgi:application"],
                env=self.environment, cwd=self.root, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: self.ask("GET", "/accounts/login/")[0], f"the web process of {self.root}", 60)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str, str]:
        """Status, body and Retry-After; status 0 when nobody answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self.token}"} if self.token else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode(), ""
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers.get("Retry-After", "")
        except OSError:
            return 0, "", ""

    def json(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        status, text, _retry = self.ask(method, path, body)
        assert status < 400, f"{method} {path}: {status} {text}"
        return json.loads(text)


@dataclass
class Load:
    """Requests to one version, one after the other, from a thread: reads and writes of every kind."""

    version: Version
    statuses: list[tuple[str, int]] = field(default_factory=list)
    slowest: float = 0.0
    busy: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def count(self, what: str, status: int) -> int:
        return self.statuses.count((what, status))

    def failed(self) -> list[tuple[str, int]]:
        return [entry for entry in self.statuses if entry[1] == 0 or entry[1] >= 400]

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            made = {"title": f"Under load {number}", "severity": "P3"}
            self._ask("declare", "POST", "/api/v1/incidents/", made)
            self._ask("list", "GET", "/api/v1/incidents/")
            service = {"slug": f"load-{number}", "name": "Load"}
            self._ask("service", "POST", "/api/v1/services/", service)
            self._ask("page", "GET", "/accounts/login/")
            time.sleep(0.01)

    def _ask(self, what: str, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        began = time.monotonic()
        status, text, _retry_after = self.version.ask(method, path, body)
        if status == 409 and "/problems/busy" in text:  # a deadlock with the migration: asked to try again
            self.busy += 1
            status = self.version.ask(method, path, body)[0]
        self.statuses.append((what, status))
        self.slowest = max(self.slowest, time.monotonic() - began)
