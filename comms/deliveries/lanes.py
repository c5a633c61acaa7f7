"""One lane for each kind of channel, with a few threads of its own: what hangs in one delays no other."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import connection

from comms.channels import CHANNELS
from comms.deliveries.attempt import attempt
from comms.deliveries.staff import Staff
from comms.states import WAITING_STATES, DeliveryState

THREADS = 4  # of a lane, in each process
CLAIM_SECONDS = 30  # longer than any channel's deadline: then the sender has died
SPREAD_SECONDS = 30  # so that those who died with the one that kills come back without it
LANES = ("", *CHANNELS)  # the first for deliveries of a version that knew no lanes

# One at a time to a recipient, the older first: nobody reads "resolved" before "declared". A page waits
# for pages only. What is put off, after a failure or for the night, keeps nothing behind it until it is due.
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
          AND NOT EXISTS (
              SELECT 1 FROM comms_delivery f
               WHERE f.channel = w.channel AND f.recipient = w.recipient AND f.state = 'retrying'
                 AND f.id < w.id AND f.urgent >= w.urgent AND f.due_at <= clock_timestamp())
        ORDER BY w.due_at, w.id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING d.id
"""
# Whose sender died: at once the first time, then later and later, and each at another moment.
_TAKE_OVER = """
UPDATE comms_delivery
   SET state = %(retrying)s, crashes = crashes + 1,
       due_at = clock_timestamp() + make_interval(secs => crashes * %(spread)s * random())
 WHERE state = %(sending)s AND due_at <= clock_timestamp()
"""
_WAITING = """
SELECT count(*) FROM (SELECT 1 FROM comms_delivery
                       WHERE lane = %s AND state = ANY(%s) AND due_at <= clock_timestamp() LIMIT %s) few
"""


def send_due_deliveries(*, now: dt.datetime) -> int:
    """Send every due delivery; any number of processes may do this at once.

    Returns how many were tried so far: it does not wait for those that hang.
    """
    _take_over()
    return _STAFF.work(LANES)


def _take_over() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE_OVER,
            {
                "retrying": DeliveryState.RETRYING,
                "sending": DeliveryState.SENDING,
                "spread": SPREAD_SECONDS,
            },
        )


def _waiting(lane: str, most: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [lane, list(WAITING_STATES), most])
        return int(cursor.fetchone()[0])


def _claim(lane: str) -> int | None:
    """The next delivery, a page before anything else."""
    asked: dict[str, Any] = {
        "sending": DeliveryState.SENDING,
        "seconds": CLAIM_SECONDS,
        "lane": lane,
        "due": list(WAITING_STATES),
    }
    with connection.cursor() as cursor:
        for urgent in (True, False):
            cursor.execute(_CLAIM, {**asked, "urgent": urgent})
            if row := cursor.fetchone():
                return int(row[0])
    return None


_STAFF = Staff(threads=THREADS, waiting=_waiting, claim=_claim, attempt=attempt)
