"""The web process as the Procfile starts it, on the database of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from django.db import connection

from core.embedded.supervisor import parse_procfile

ROOT = Path(__file__).resolve().parents[1]


class WebProcess:
    """Granian with `config.asgi`; `log` holds all that it printed."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = _free_port()
        self.log = folder / "web.log"
        self.environment = {
            **os.environ,
            **{
                name: with_tests_database(os.environ[name]) for name in ("DATABASE_URL", "DATABASE_OWNER_URL")
            },
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        argv = parse_procfile(ROOT / "Procfile", self.environment)["web"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, env=self.environment, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the web process does not answer: {self.log.read_text()}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            workers = self.workers()
            self.process.terminate()
            self.process.wait(20)
            psutil.wait_procs(workers, 10)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer: they must be the same after whatever was sent."""
        assert self.process is not None
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def resident_bytes(self) -> int:
        return int(sum(worker.memory_info().rss for worker in self.workers()))

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as link:
                link.sendall(b"GET /accounts/login/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return link.recv(12).startswith(b"HTTP/1.")
        except OSError:
            return False


def with_tests_database(url: str) -> str:
    """The address with the name of the tests' database instead of the ordinary one."""
    name = str(connection.settings_dict["NAME"])
    parts = urlsplit(url)
    ordinary = parts.path.removeprefix("/")
    assert name == f"test_{ordinary}" or name.startswith(f"test_{ordinary}_gw"), url  # gw: of a parallel run
    return parts._replace(path=f"/{name}").geturl()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
