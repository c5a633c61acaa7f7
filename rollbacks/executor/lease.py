"""Holding a rollback: 30 seconds on the database's clock, renewed, with a fence that only rises."""

from __future__ import annotations

import logging
import os
import threading
import time
from types import TracebackType

from django.conf import settings
from django.db import connection, connections

from rollbacks import policy
from rollbacks.states import BUSY_STEPS, RUNNABLE_STATES

logger = logging.getLogger(__name__)

LEASE_SECONDS = 30
RENEW_SECONDS = 8
MARGIN_SECONDS = 5
LEAVE_TO_OTHERS_SECONDS = 5

_CLAIM = """
UPDATE rollbacks_rollback
   SET lease_owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
       fence = fence + 1, no_runner_at = NULL
 WHERE id = (SELECT r.id FROM rollbacks_rollback r
              WHERE r.state = ANY(%(runnable)s) AND r.due_at <= clock_timestamp()
                AND (r.lease_until IS NULL OR r.lease_until <= clock_timestamp())
                AND CASE WHEN %(only)s::bigint IS NULL THEN r.queue = ANY(%(queues)s) ELSE r.id = %(only)s END
                AND (r.procedure_digest = ANY(%(digests)s)
                     OR r.lease_until <= clock_timestamp() - make_interval(secs => %(patience)s)
                        AND EXISTS (SELECT 1 FROM rollbacks_rollbackstep s WHERE s.rollback_id = r.id
                                       AND s.state = ANY(%(busy)s) AND s.host = %(host)s))
                AND NOT EXISTS (SELECT 1 FROM rollbacks_rollbackstep s WHERE s.rollback_id = r.id
                                   AND s.state = ANY(%(busy)s) AND s.host <> %(host)s)
              ORDER BY r.due_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id, fence
"""
_RENEW = """
UPDATE rollbacks_rollback SET lease_until = clock_timestamp() + make_interval(secs => %s)
 WHERE id = %s AND fence = %s AND lease_until > clock_timestamp()
"""


def claim(only: int | None = None) -> tuple[int, int] | None:
    """Take one due rollback of our queues that nobody holds; returns its id and fence, or None.

    Only one whose procedure this playbook has word for word: another runner may have that version, and
    services.runners notices when none has. What was begun here is taken up all the same after some
    seconds: it is waited for, so that no person is asked while it still runs. `only` is the one that an
    operator asked for, of any queue.
    One with a step in the middle only on the host where it was begun: its supervisor and its folder are
    there. When that host does not come back, services.recovery asks for a person.
    """
    owner = f"{settings.HOST_NAME}:{os.getpid()}"
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "owner": owner,
                "seconds": LEASE_SECONDS,
                "runnable": list(RUNNABLE_STATES),
                "only": only,
                "queues": list(settings.RUNNER_QUEUES),
                "digests": list(policy.digests().values()),
                "patience": LEAVE_TO_OTHERS_SECONDS,
                "busy": list(BUSY_STEPS),
                "host": settings.HOST_NAME,
            },
        )
        row: tuple[int, int] | None = cursor.fetchone()
    return row


class Lease:
    """Renews a claimed rollback from a thread of its own while the `with` block runs.

    `is_held` turns False some seconds before the lease ends in the database, so that a worker which
    cannot reach it stops acting before somebody else starts.
    """

    def __init__(self, rollback_id: int, fence: int) -> None:
        self.rollback_id, self.fence = rollback_id, fence
        self._trusted_until = time.monotonic() + LEASE_SECONDS - MARGIN_SECONDS
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew_for_ever, name=f"lease-{rollback_id}", daemon=True)

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self._trusted_until

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join(timeout=LEASE_SECONDS)

    def _renew_for_ever(self) -> None:
        try:
            while not self._done.wait(RENEW_SECONDS):
                asked_at = time.monotonic()
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(_RENEW, [LEASE_SECONDS, self.rollback_id, self.fence])
                        renewed = cursor.rowcount == 1
                except Exception as error:  # noqa: BLE001 - the database may be away; trust ends by itself
                    logger.warning("lease of rollback %s not renewed: %s", self.rollback_id, error)
                    connection.close()
                    continue
                if not renewed:
                    self._trusted_until = 0.0
                    return
                self._trusted_until = asked_at + LEASE_SECONDS - MARGIN_SECONDS
        finally:
            connections.close_all()
