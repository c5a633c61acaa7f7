"""A server that records what it is sent over real sockets, and behaves as badly as it is told.

`with Sink() as sink:` gives `sink.url`, `sink.requests` (in the order in which they came) and `sink.mode`:
one mode for every request, a list with one for each of the next, the last for all that follow, or a
function from the request to its mode:

`ok`, a status such as `500`, `429` (with `Retry-After: 7`, or `sink.retry_after`), `hang` (takes the request, says nothing),
`reset` (breaks the connection), `drip` (a letter a quarter of a second, for ever), `redirect` (to
`sink.redirect_to`), `garbage` (no HTTP), `kill` (whoever asks is killed as by kill -9 once it has been
heard: `["kill", "ok"]` is a worker that dies between sending and marking). `sink.answer` is the status, headers and body of `ok`.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

import psutil


@dataclass(frozen=True)
class Recorded:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def form(self) -> dict[str, str]:
        """A form-encoded body; of each field its first value."""
        return {
            name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()
        }


Mode = str | list[str] | Callable[[Recorded], str]


def kill_client(address: tuple[str, int]) -> None:
    """kill -9 the process whose end of a connection this is: it has sent, and never learns what came of it."""
    for link in psutil.net_connections("tcp4"):
        if link.laddr == address and link.pid and link.pid != os.getpid():
            os.kill(link.pid, signal.SIGKILL)


class Sink:
    """See the module."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.mode: Mode = "ok"
        self.answer: tuple[int, dict[str, str], bytes] = (200, {"Content-Type": "application/json"}, b"{}")
        self.redirect_to = ""
        self.retry_after = 7
        self.requests: list[Recorded] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        sink = self

        class Handler(_Handler):
            owner = sink

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.host, self.port = host, self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"

    def __enter__(self) -> Self:
        # Asked often for its end, so that a test's end does not wait for it.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, request: Recorded) -> str:
        """Remember the request; returns the mode for it."""
        with self._lock:
            self.requests.append(request)
            if isinstance(self.mode, str):
                return self.mode
            if not isinstance(self.mode, list):
                return self.mode(request)
            return self.mode.pop(0) if len(self.mode) > 1 else self.mode[0]

    def wait(self, seconds: float) -> bool:
        """Sleep, unless the sink is closed meanwhile; returns whether it was."""
        return self._over.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    owner: Sink
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        mode = self.owner.take(Recorded(self.command, self.path, headers, body))
        self.close_connection = True
        match mode:
            case "ok":
                self._answer(*self.owner.answer)
            case "429":
                self._answer(429, {"Retry-After": str(self.owner.retry_after)}, b"")
            case "redirect":
                self._answer(302, {"Location": self.owner.redirect_to}, b"")
            case "hang":
                self.owner.wait(60)
            case "drip":
                self._drip()
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            case "kill":
                kill_client(self.client_address)
            case "garbage":
                self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")
            case _:
                self._answer(int(mode), {}, b"")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
        )
        try:
            while not self.owner.wait(0.25):
                self.wfile.write(b" ")
        except OSError:
            return

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - as http.server calls them

    def log_message(self, *_args: Any) -> None:
        """Quiet."""

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # whoever asked went away
            return

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            return
