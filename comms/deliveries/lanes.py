"""One lane for each kind of channel, with a few threads of its own: what hangs in one delays no other."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, connections

from comms.channels import CHANNELS
from comms.deliveries.attempt import attempt
from comms.states import DUE_STATES, DeliveryState
from core import shutdown
from core.operation import vitals

logger = logging.getLogger(__name__)

THREADS = 4  # of a lane, in each process
PATIENCE_SECONDS = 5.0  # for threads that hang: they go on, and their sweep is over
CLAIM_SECONDS = 60  # longer than any channel's deadline: then the sender has died
LANES = ("", *CHANNELS)  # the first for deliveries of a version that knew no lanes

# One at a time to a recipient, the older first: nobody reads "resolved" before "declared". A page waits
# for pages only. What is put off, after a failure or for the night, keeps nothing behind it.
_CLAIM = """
UPDATE comms_delivery d
   SET state = %(sending)s, claims = d.claims + 1,
       due_at = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE d.id = (
       SELECT w.id FROM comms_delivery w
        WHERE w.lane = %(lane)s AND w.urgent = %(urgent)s AND w.state = ANY(%(due)s)
          AND w.due_at <= clock_timestamp()
          AND NOT EXISTS (
              SELECT 1 FROM comms_delivery e
               WHERE e.channel = w.channel AND e.recipient = w.recipient AND e.id <> w.id
                 AND e.state IN ('pending', 'sending')
                 AND ((e.state = 'sending' AND e.due_at > clock_timestamp())
                      OR (e.id < w.id AND e.urgent >= w.urgent AND e.due_at <= clock_timestamp())))
        ORDER BY w.due_at, w.id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING d.id
"""
_WAITING = """
SELECT count(*) FROM (SELECT 1 FROM comms_delivery
                       WHERE lane = %s AND state = ANY(%s) AND due_at <= clock_timestamp() LIMIT %s) few
"""


@dataclass
class _Run:
    """One call of send_due_deliveries: its threads, and how many deliveries they tried."""

    threads: list[threading.Thread] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)


_active: Counter[str] = Counter()
_counting = threading.Lock()


def send_due_deliveries(*, now: dt.datetime) -> int:
    """Send every due delivery; any number of processes may do this at once.

    Returns how many were tried so far: after five seconds it no longer waits for those that hang.
    """
    run = _Run()
    for lane in LANES:
        _staff(lane, run)
    until = time.monotonic() + PATIENCE_SECONDS
    for thread in run.threads:
        while thread.is_alive() and time.monotonic() < until:
            thread.join(0.2)
            vitals.progress()
    return run.tried.total()


def _staff(lane: str, run: _Run) -> None:
    """Start as many threads as there is work and room for."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [lane, list(DUE_STATES), THREADS])
        waiting = cursor.fetchone()[0]
    for _number in range(waiting):
        with _counting:
            if _active[lane] >= THREADS:
                return
            _active[lane] += 1
        thread = threading.Thread(target=_work, args=(lane, run), name=f"lane {lane or 'old'}")
        run.threads.append(thread)
        thread.start()


def _work(lane: str, run: _Run) -> None:
    try:
        while not shutdown.requested() and (delivery_id := _claim(lane)):
            attempt(delivery_id)
            run.tried[lane] += 1
            vitals.progress()
    except Exception:
        logger.exception("a sender of lane %s ends", lane)  # the database is away: the next sweep goes on
    finally:
        with _counting:
            _active[lane] -= 1
        connections.close_all()


def _claim(lane: str) -> int | None:
    """The next delivery, a page before anything else."""
    asked: dict[str, Any] = {
        "sending": DeliveryState.SENDING,
        "seconds": CLAIM_SECONDS,
        "lane": lane,
        "due": list(DUE_STATES),
    }
    with connection.cursor() as cursor:
        for urgent in (True, False):
            cursor.execute(_CLAIM, {**asked, "urgent": urgent})
            if row := cursor.fetchone():
                return int(row[0])
    return None
