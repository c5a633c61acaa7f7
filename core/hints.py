"""Wake-up hints to Celery: sent after the commit, never an error, because the rows are the truth."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
_quiet_until = 0.0
_lock = threading.Lock()


def wake(task: str, *, queue: str = "", **kwargs: Any) -> None:
    """Ask a worker to run `task` soon after this transaction commits: one of `queue`, else of its route.

    A dead or frozen broker costs one short timeout and a log line, then no more tries for five
    seconds: the sweeps find the work by its row. The same hint twice in a transaction is sent once.
    """
    connection = transaction.get_connection()
    waiting = {entry[1] for entry in connection.run_on_commit}
    hint = _Hint(task, queue, tuple(sorted(kwargs.items())))
    if hint not in waiting:
        transaction.on_commit(hint, robust=True)


class _Hint:
    """A callable with equality, so that a transaction sends each hint once."""

    def __init__(self, task: str, queue: str, arguments: tuple[tuple[str, Any], ...]) -> None:
        self.task, self.queue, self.arguments = task, queue, arguments

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hint) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.task, self.queue, self.arguments

    def __call__(self) -> None:
        global _quiet_until
        if time.monotonic() < _quiet_until:
            return
        try:
            with _OneAtATime():
                current_app.send_task(
                    self.task,
                    kwargs=dict(self.arguments),
                    queue=self.queue or None,
                    expires=60,
                    retry=False,
                    ignore_result=True,
                )
        except Exception as error:  # noqa: BLE001 - whatever the broker's library raises, a hint is optional
            _quiet_until = time.monotonic() + QUIET_SECONDS
            logger.warning("no broker, the sweeps will find the work: %s (%s)", self.task, error)


class _OneAtATime:
    """Give up quickly when another thread is stuck on the broker."""

    def __enter__(self) -> None:
        if not _lock.acquire(timeout=settings.HINT_TIMEOUT_SECONDS):
            raise TimeoutError("another hint is stuck on the broker")

    def __exit__(self, *_: object) -> None:
        _lock.release()
