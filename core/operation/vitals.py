"""This process's sign of life: written while it proves that it works, and not merely that it exists."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import psutil
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, connections

from core import build
from core.clock import utcnow
from core.playbook import get_playbook

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
# Without progress for this long the sign of life is withheld: every thread is stuck.
STUCK_AFTER_SECONDS = 20.0

Prove = Callable[[], "Future[None]"]
Duty = Callable[["Vitals"], object]

_WRITE = """
INSERT INTO core_process (name, host, pid, version, playbook_digest, started_at, beat_at, worked_at,
                          skew_seconds, disk_free_ratio)
VALUES (%(name)s, %(host)s, %(pid)s, %(version)s, %(playbook)s, clock_timestamp(), clock_timestamp(),
        clock_timestamp() - make_interval(secs => %(idle)s),
        extract(epoch FROM %(now)s - clock_timestamp()), %(disk)s)
ON CONFLICT (name, host, pid) DO UPDATE
   SET beat_at = EXCLUDED.beat_at, worked_at = EXCLUDED.worked_at, skew_seconds = EXCLUDED.skew_seconds,
       disk_free_ratio = EXCLUDED.disk_free_ratio, version = EXCLUDED.version,
       playbook_digest = EXCLUDED.playbook_digest,
       started_at = CASE WHEN %(first)s THEN EXCLUDED.started_at ELSE core_process.started_at END
"""
_OTHERS = "SELECT pid, started_at FROM core_process WHERE name = %s AND host = %s AND pid <> %s"
_FORGET = "DELETE FROM core_process WHERE name = %s AND host = %s AND pid = %s"


class Vitals:
    """Reports one process every ten seconds from a thread of its own.

    `prove` hands a nothing to the threads that do the work; only when one of them has come to it, or
    work that takes long has called `progress`, is the sign of life written. `duty` is done with each.
    """

    def __init__(self, name: str, *, prove: Prove | None = None, duty: Duty | None = None) -> None:
        self.name = name
        self._prove, self._duty = prove, duty
        self._asked: Future[None] | None = None
        self._started_at = self._progress_at = time.monotonic()
        self._worked_at: float | None = None
        self._is_first = True
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._report_for_ever, name=f"vitals of {name}", daemon=True)

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self._started_at

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye: a process that ended in order is not missed."""
        self._ending.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=3)
        try:
            with connection.cursor() as cursor:
                cursor.execute(_FORGET, [self.name, settings.HOST_NAME, os.getpid()])
        except DatabaseError as error:
            logger.warning("could not say goodbye: %s", error)

    def progress(self) -> None:
        """Long work goes on."""
        self._progress_at = time.monotonic()

    def worked(self) -> None:
        """A task was done."""
        self._worked_at = self._progress_at = time.monotonic()

    def report(self) -> bool:
        """Write the sign of life if this process works; returns whether it does."""
        self._ask_for_proof()
        idle = time.monotonic() - self._progress_at
        if idle > STUCK_AFTER_SECONDS:
            logger.error("%s is stuck: no thread has come to anything for %.0f s", self.name, idle)
            return False
        self._write()
        return True

    def _ask_for_proof(self) -> None:
        if self._prove is None:
            return
        if self._asked is None or self._asked.done():
            self._asked = self._prove()
            self._asked.add_done_callback(lambda _done: self.progress())

    def _write(self) -> None:
        worked = self._worked_at
        with connection.cursor() as cursor:
            cursor.execute(
                _WRITE,
                {
                    "name": self.name,
                    "host": settings.HOST_NAME,
                    "pid": os.getpid(),
                    "version": build.full_version(),
                    "playbook": get_playbook().digest,
                    "idle": None if worked is None else time.monotonic() - worked,
                    "now": utcnow(),
                    "disk": _disk_free_ratio(),
                    "first": self._is_first,
                },
            )
        self._is_first = False
        self._forget_dead_predecessors()

    def _forget_dead_predecessors(self) -> None:
        """Rows of this name and host whose process is gone: we are its successor."""
        with connection.cursor() as cursor:
            cursor.execute(_OTHERS, [self.name, settings.HOST_NAME, os.getpid()])
            for pid, started_at in cursor.fetchall():
                if not _lives(pid, started_at.timestamp()):
                    cursor.execute(_FORGET, [self.name, settings.HOST_NAME, pid])

    def _report_for_ever(self) -> None:
        try:
            while not self._ending.is_set():
                self._report_once()
                self._ending.wait(EVERY_SECONDS)
        finally:
            connections.close_all()

    def _report_once(self) -> None:
        try:
            close_old_connections()
            if self.report() and self._duty is not None:
                self._duty(self)
        except DatabaseError as error:
            logger.warning("no sign of life, the database is away: %s", error)
            connection.close()
        except Exception:
            logger.exception("the sign of life of %s failed", self.name)
            connection.close()


_current: Vitals | None = None


def start(name: str, *, prove: Prove | None = None, duty: Duty | None = None) -> Vitals:
    """Begin to report this process as `name`."""
    global _current
    _current = Vitals(name, prove=prove, duty=duty)
    _current.start()
    return _current


def stop() -> None:
    """Say goodbye, if this process was reported."""
    if _current is not None:
        _current.stop()


def progress() -> None:
    """Called by work that takes long, so that its process does not look stuck."""
    if _current is not None:
        _current.progress()


def worked() -> None:
    """Called when a task is done."""
    if _current is not None:
        _current.worked()


def _lives(pid: int, started_at: float) -> bool:
    """Whether the process that wrote a row lives; its number may be another's by now."""
    try:
        return bool(psutil.Process(pid).create_time() <= started_at + 60)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _disk_free_ratio() -> float | None:
    try:
        usage = shutil.disk_usage(settings.VAR_DIR)
    except OSError:
        return None
    return usage.free / usage.total if usage.total else None
