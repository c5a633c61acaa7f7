"""Asking what may never answer: at most one question at a time, and no longer than one can wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")
ABANDON_AFTER_SECONDS = 60.0


class Bounded(Generic[T]):
    """A question asked in a thread of its own, because a frozen server never gives its thread back.

    Whoever asks while a question is under way waits for that one. One without an answer for a minute
    is abandoned, so that a lost connection is not waited for for ever.
    """

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self.name, self._ask = name, ask
        self._lock = threading.Lock()
        self._running: Future[T] | None = None
        self._since = 0.0

    def begin(self) -> Future[T]:
        """Ask, unless the question is under way."""
        with self._lock:
            old = time.monotonic() - self._since > ABANDON_AFTER_SECONDS
            if self._running is None or self._running.done() or old:
                self._running, self._since = Future(), time.monotonic()
                thread = threading.Thread(
                    target=self._run, args=(self._running,), name=f"ask {self.name}", daemon=True
                )
                thread.start()
            return self._running

    def answer(self, limit_seconds: float) -> T:
        """The answer; raises TimeoutError when there is none in time, and what the question raises."""
        return self.begin().result(timeout=max(limit_seconds, 0.0))

    def _run(self, future: Future[T]) -> None:
        try:
            future.set_result(self._ask())
        except BaseException as error:  # noqa: BLE001 - whoever asked shall see it
            future.set_exception(error)
        finally:
            connections.close_all()
