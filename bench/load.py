"""The load: keep-alive HTTP/1.1 connections of one thread, each sending its next request when answered.

Requests are bytes made beforehand, and of an answer only the status and the length are read: about
20 µs of processor time a request, so that the generator takes little from the servers it measures.
How much it took is part of every window.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# A request that was not answered this long after the window's end has failed.
PATIENCE_SECONDS = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_UNTIL_LAST_CHUNK = -1

MakeRequest = Callable[[], bytes]


@dataclass
class Window:
    """What happened in one window of `seconds`, the answers that were still awaited at its end included.

    `latencies`, in seconds, are of requests that were answered as expected.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    own_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def own_share(self) -> float:
        """What the generator took, as a share of one core."""
        return self.own_seconds / self.seconds if self.seconds else 0.0


class _Connection:
    """One connection: waiting for an answer, or about to send."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.link = self._open()
        self.buffer = bytearray()
        self.wanted: int | None = None
        self.sent_at = 0.0

    def _open(self) -> socket.socket:
        link = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def reopen(self) -> None:
        self.link.close()
        self.link = self._open()

    def send(self, request: bytes) -> None:
        self.buffer.clear()
        self.wanted = None
        self.sent_at = time.perf_counter()
        self.link.sendall(request)

    def receive(self) -> bytes | None:
        """The status line when the answer is whole, None before; raises ConnectionError at its end."""
        chunk = self.link.recv(262_144)
        if not chunk:
            raise ConnectionError("closed")
        self.buffer += chunk
        if self.wanted is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            if found := _LENGTH.search(self.buffer, 0, end + 2):
                self.wanted = end + 4 + int(found[1])
            elif _CHUNKED.search(self.buffer, 0, end + 2):
                self.wanted = _UNTIL_LAST_CHUNK
            else:
                raise ConnectionError("an answer without a length")
        if self.wanted == _UNTIL_LAST_CHUNK:
            is_whole = self.buffer.endswith(_LAST_CHUNK)
        else:
            is_whole = len(self.buffer) >= self.wanted
        return bytes(self.buffer[9:12]) if is_whole else None


def run_window(port: int, make: MakeRequest, *, connections: int, seconds: float, expected: int) -> Window:
    """Load the server on `port` for `seconds`; an answer of another status than `expected` has failed."""
    window = Window()
    status = str(expected).encode()
    links = [_Connection(port) for _ in range(connections)]
    began_own, began = time.thread_time(), time.perf_counter()
    deadline = began + seconds
    with selectors.DefaultSelector() as selector:
        for link in links:
            link.send(make())
            selector.register(link.link, selectors.EVENT_READ, link)
        waiting = connections
        while waiting and time.perf_counter() < deadline + PATIENCE_SECONDS:
            for key, _events in selector.select(timeout=1.0):
                link = key.data
                try:
                    answered = link.receive()
                except OSError as error:
                    window.failures.append(str(error))
                    selector.unregister(link.link)
                    link.reopen()
                    selector.register(link.link, selectors.EVENT_READ, link)
                    answered = b""
                if answered is None:
                    continue
                now = time.perf_counter()
                if answered == status:
                    window.latencies.append(now - link.sent_at)
                elif answered:
                    window.failures.append(answered.decode())
                if now < deadline:
                    link.send(make())
                else:
                    selector.unregister(link.link)
                    waiting -= 1
        window.failures += ["no answer"] * waiting
    window.seconds = time.perf_counter() - began
    window.own_seconds = time.thread_time() - began_own
    for link in links:
        link.link.close()
    return window
