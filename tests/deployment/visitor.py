"""Somebody outside: HTTPS to nginx with the certificate checked, the live stream, a browser."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOMAIN = "firebreak.example.org"
BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Connection(http.client.HTTPSConnection):
    """To 127.0.0.1, by the name in the certificate."""

    def __init__(self, certificate: Path) -> None:
        self._tls = ssl.create_default_context(cafile=str(certificate))
        super().__init__(DOMAIN, context=self._tls, timeout=30)

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", 443), timeout=30)
        self.sock = self._tls.wrap_socket(plain, server_hostname=DOMAIN)


class Visitor:
    def __init__(self, certificate: Path) -> None:
        self._certificate = certificate

    def get(self, path: str, **headers: str) -> Answer:
        connection = _Connection(self._certificate)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        found = Answer(
            answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        )
        connection.close()
        return found

    def get_plain(self, path: str, host: str = DOMAIN) -> int:
        """The status over port 80; 0 when the server hangs up."""
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": host})
            return connection.getresponse().status
        except http.client.RemoteDisconnected:
            return 0
        finally:
            connection.close()

    @contextmanager
    def listening(self, cookie: str) -> Iterator[list[tuple[float, str]]]:
        """The live stream through nginx: (moment, line) as they arrive."""
        connection = _Connection(self._certificate)
        connection.request("GET", "/live/", headers={"Cookie": cookie, "Accept": "text/event-stream"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        lines: list[tuple[float, str]] = []

        def listen() -> None:
            try:
                while line := answer.readline():
                    lines.append((time.monotonic(), line.decode().strip()))
            except (OSError, ValueError, AttributeError):
                return  # closed below

        threading.Thread(target=listen, daemon=True).start()
        yield lines
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)


class Outage:
    """Asks for the sign-in page five times a second and notes how long it was away."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._done = threading.Event()
        self._away: list[float] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def seconds(self) -> float:
        return self._away[-1] - self._away[0] if self._away else 0.0

    def __enter__(self) -> Outage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            if self._visitor.get("/accounts/login/").status != 200:
                self._away.append(time.monotonic())


@contextmanager
def browsing() -> Iterator[Page]:
    """A page of a real browser; the self-signed certificate is accepted here and checked in Visitor."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[*BROWSER_ARGS, f"--host-resolver-rules=MAP {DOMAIN} 127.0.0.1"],
        )
        page = browser.new_page(ignore_https_errors=True)
        yield page
        browser.close()


def password_in(printed: str) -> str:
    found = re.search(r"password: (\S+)", printed)
    assert found, printed
    return found[1]
