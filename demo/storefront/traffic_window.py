"""What the load balancer measured: the requests of a short sliding window, and security events."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

SECURITY_WINDOW_SECONDS = 300.0


@dataclass(frozen=True)
class Served:
    """One request that went through the balancer."""

    finished_at: float
    failed: bool
    duration_ms: float


@dataclass(frozen=True)
class Measured:
    """Figures of a window; the rates are None where no request was served in it."""

    requests: int
    error_rate: float | None
    response_time_ms: float | None
    security_events: int


class TrafficWindow:
    """Counts only what the servers now in charge have served.

    `begin` takes the name of whoever serves (slot and process). When it changes the window starts
    empty, so that the errors of a release do not hang on after the rollback, and a request begun
    before the change is left out.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._server: tuple[object, ...] = ()
        self._served: deque[Served] = deque()
        self._security_events: deque[float] = deque()

    def begin(self, server: tuple[object, ...]) -> None:
        with self._lock:
            if server != self._server:
                self._server = server
                self._served.clear()

    def record(self, server: tuple[object, ...], *, failed: bool, duration_ms: float) -> None:
        with self._lock:
            if server == self._server:
                self._served.append(Served(time.monotonic(), failed, duration_ms))
                self._forget_old()

    def record_security_event(self) -> None:
        with self._lock:
            self._security_events.append(time.monotonic())

    def measure(self) -> Measured:
        with self._lock:
            self._forget_old()
            served = list(self._served)
            security_events = len(self._security_events)
        if not served:
            return Measured(0, None, None, security_events)
        return Measured(
            requests=len(served),
            error_rate=round(sum(request.failed for request in served) / len(served), 4),
            response_time_ms=round(sum(request.duration_ms for request in served) / len(served), 2),
            security_events=security_events,
        )

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._served and self._served[0].finished_at < now - self.seconds:
            self._served.popleft()
        while self._security_events and self._security_events[0] < now - SECURITY_WINDOW_SECONDS:
            self._security_events.popleft()
