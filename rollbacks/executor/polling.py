"""A runner that needs PostgreSQL alone: it asks the database every two seconds, and no broker."""

from __future__ import annotations

import logging
import threading

from django.db import Error as DatabaseError
from django.db import connection, connections

from core import shutdown
from core.operation import vitals
from core.sweeps import run_sweep
from rollbacks.executor import presence
from rollbacks.states import RunnerKind

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 2.0


def run_for_ever(threads: int) -> None:
    """Run due rollbacks of this host's queues, so many at once, until the process is asked to stop.

    It then ends between two steps; a step that has begun is waited for.
    """
    vitals.start("runner", duty=presence.duty(RunnerKind.RUNNER))
    working = [threading.Thread(target=_look_for_ever, name=f"runner {number}") for number in range(threads)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    vitals.stop()
    try:
        presence.leave()
    except DatabaseError as error:
        logger.warning("could not say goodbye: %s", error)


def _look_for_ever() -> None:
    try:
        while not shutdown.requested():
            _look()
            shutdown.wait(LOOK_EVERY_SECONDS)
    finally:
        connections.close_all()


def _look() -> None:
    try:
        vitals.progress()
        run_sweep("rollbacks.run_due")
        vitals.worked()
    except DatabaseError as error:
        logger.warning("the database is away: %s", error)
        connection.close()
    except Exception:
        logger.exception("looking for due rollbacks failed")
        connection.close()
