"""Threads for lanes: what hangs in one lane delays no other. Callers say what waits and how it is tried."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import connections

from core import shutdown
from core.operation import vitals

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0  # for threads that hang: they go on, and their sweep is over


@dataclass
class _Run:
    """One sweep: its threads, and how many deliveries they tried."""

    threads: list[threading.Thread] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)


class Staff:
    """A few threads for each lane, in each process; any number of processes may work at once.

    `waiting(lane, most)` counts what is due, up to `most`; `claim(lane)` takes one and names it, None when
    there is none; `attempt(number)` tries it and never raises for what is wrong with it.
    """

    def __init__(
        self,
        *,
        threads: int,
        waiting: Callable[[str, int], int],
        claim: Callable[[str], int | None],
        attempt: Callable[[int], None],
    ) -> None:
        self._threads = threads
        self._waiting, self._claim, self._attempt = waiting, claim, attempt
        self._active: Counter[str] = Counter()
        self._counting = threading.Lock()

    def work(self, lanes: Sequence[str]) -> int:
        """Try all that is due in these lanes.

        Returns how many were tried so far: after five seconds it no longer waits for those that hang.
        """
        run = _Run()
        for lane in lanes:
            self._start(lane, run)
        until = time.monotonic() + PATIENCE_SECONDS
        for thread in run.threads:
            while thread.is_alive() and time.monotonic() < until:
                thread.join(0.2)
                vitals.progress()
        return run.tried.total()

    def _start(self, lane: str, run: _Run) -> None:
        """As many threads as there is work and room for."""
        for _number in range(self._waiting(lane, self._threads)):
            with self._counting:
                if self._active[lane] >= self._threads:
                    return
                self._active[lane] += 1
            thread = threading.Thread(target=self._run, args=(lane, run), name=f"lane {lane or 'old'}")
            run.threads.append(thread)
            thread.start()

    def _run(self, lane: str, run: _Run) -> None:
        try:
            while not shutdown.requested() and (number := self._claim(lane)):
                self._attempt(number)
                run.tried[lane] += 1
                vitals.progress()
        except Exception:
            # The database is away: the next sweep goes on.
            logger.exception("a sender of lane %s ends", lane)
        finally:
            with self._counting:
                self._active[lane] -= 1
            connections.close_all()
