"""A whole Firebreak started as a user starts it, with its demo, in a folder and on ports of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


class Firebreak:
    """`manage.py run --with demo` with what a test needs to talk to it."""

    root = ROOT  # whose code it is

    def __init__(self, var_dir: Path, **environment: str) -> None:
        self.var_dir = var_dir
        self.port, self.storefront_port, self.webhook_port = free_ports(3)
        dropped = (
            "DATABASE_URL",
            "DATABASE_OWNER_URL",
            "REDIS_URL",
            "CELERY_BROKER_URL",
            "DJANGO_SETTINGS_MODULE",
        )
        self.environment = {key: value for key, value in os.environ.items() if key not in dropped} | {
            "VAR_DIR": str(var_dir),
            "PORT": str(self.port),
            "STOREFRONT_PORT": str(self.storefront_port),
            "DEMO_WEBHOOK_PORT": str(self.webhook_port),
            **environment,
        }
        self.log = var_dir.parent / f"{var_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def password(self) -> str:
        found = re.search(r"password: (\S+)", self.log.read_text())
        assert found, "the first start prints the password"
        return found[1]

    def start(self) -> None:
        """Start it and wait until the page of signing in and the storefront answer."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.root / "manage.py"), "run", "--with", "demo"],
                env=self.environment, cwd=self.root, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(
            lambda: self._answers(f"{self.url}/accounts/login/"), "the web process", 120, alive=self._is_alive
        )
        wait_for(
            lambda: self._answers(f"http://127.0.0.1:{self.storefront_port}/metrics.json"),
            "the storefront",
            60,
        )
        if not self.token:
            scopes = [word for scope in ("read", "write", "rollback") for word in ("--scope", scope)]
            self.token = self.manage("token", "create", "--user", "admin", "--name", "tests", *scopes).strip()

    def stop(self, timeout: float = 90) -> int:
        """Ctrl-C, and wait for the end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout)

    def manage(self, *words: str) -> str:
        """Run a manage.py command beside the running stack; returns what it prints."""
        done = subprocess.run(
            [sys.executable, str(self.root / "manage.py"), *words],
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, code: str) -> str:
        return self.manage("shell", "-v", "0", "-c", code)

    def break_demo(self) -> None:
        """`make break`."""
        self.manage("break_demo")

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)[1]

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return self._ask("POST", path, body)

    def all(self, path: str) -> list[Any]:
        """Every result of a list, page by page."""
        found: list[Any] = []
        next_page: str | None = path
        while next_page:
            page = self.get(next_page.removeprefix(f"{self.url}/api/v1"))
            found += page["results"]
            next_page = page["next"]
        return found

    def storefront(self) -> Any:
        return fetch_json(f"http://127.0.0.1:{self.storefront_port}/metrics.json")

    def children(self, word: str) -> list[psutil.Process]:
        """Firebreak's processes whose command line has this word."""
        assert self.process is not None
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if word in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def mails(self) -> list[str]:
        folder = self.var_dir / "mail"
        return [path.read_text() for path in sorted(folder.glob("*.log"))] if folder.exists() else []

    def webhooks(self) -> list[Any]:
        path = self.var_dir / "storefront" / "log" / "webhooks.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def incident(self, status: str, timeout: float = 90) -> Any:
        """Wait until the newest incident has this status."""
        return wait_for(
            lambda: self._newest_incident(status),
            f"an incident that is {status}",
            timeout,
            alive=self._is_alive,
        )

    def _newest_incident(self, status: str) -> Any:
        results = self.get("/incidents/?page_size=1")["results"]
        return results[0] if results and results[0]["status"] == status else None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def _answers(self, url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _is_alive(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended:\n{self.log.read_text()[-3000:]}"


def wait_for(
    look: Callable[[], T | None], what: str, timeout: float, alive: Callable[[], None] | None = None
) -> T:
    """The first true value of `look`; a generous deadline, since test machines are shared."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        if alive:
            alive()
        time.sleep(0.25)
    raise AssertionError(f"waited {timeout:.0f} s for {what}")


def fetch_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def json_body(hook: dict[str, Any]) -> Any:
    """What a received webhook says; the body is kept as the text that was signed."""
    return json.loads(hook["body"])
