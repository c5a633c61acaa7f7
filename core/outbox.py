"""Handing pending events to their consumers, in order within a stream, each in its own transaction."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils.module_loading import import_string

from core import events
from core.actors import SYSTEM
from core.logs import about
from core.models import Event, PendingEvent
from core.operation import vitals

logger = logging.getLogger(__name__)

Consumer = Callable[[Event, dt.datetime], None]
MAX_ATTEMPTS = 8
BATCH = 500

_NEXT = """
SELECT p.id FROM core_pendingevent p
 WHERE p.parked_at IS NULL AND p.due_at <= clock_timestamp()
   AND NOT EXISTS (SELECT 1 FROM core_pendingevent q
                    WHERE q.consumer = p.consumer AND q.stream_id = p.stream_id
                      AND q.seq < p.seq AND q.parked_at IS NULL)
 ORDER BY p.patient, p.due_at, p.id LIMIT 1 FOR UPDATE OF p SKIP LOCKED
"""


def deliver_pending(*, now: dt.datetime) -> int:
    """Handle due pending events until none is left (at most 500); returns how many were handled.

    Any number of processes may run this at once. A consumer that fails is retried with back-off up
    to eight times, then its row is parked with an alarm; rows of other streams are not held up. What
    people are told by goes before what patient consumers wait for, however much of that there is.
    """
    handled = 0
    while handled < BATCH and _deliver_one(now):
        handled += 1
        vitals.progress()
    return handled


def _deliver_one(now: dt.datetime) -> bool:
    pending_id: int | None = None
    try:
        with transaction.atomic():
            pending_id = _claim()
            if pending_id is None:
                return False
            pending = PendingEvent.objects.select_related("event__stream").get(pk=pending_id)
            with about(consumer=pending.consumer, event=pending.event.kind, **_subject(pending.event)):
                _handler(pending.consumer)(pending.event, now)
            pending.delete()
    except Exception as error:
        if pending_id is None:
            raise  # the database is away: the next sweep tries again
        logger.exception("consumer failed on pending event %s", pending_id)
        _put_back(pending_id, error, now)
    return True


def _claim() -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT)
        row = cursor.fetchone()
    return row[0] if row else None


def _handler(consumer: str) -> Consumer:
    paths = {name: path for name, path, _kinds in settings.EVENT_CONSUMERS}
    handler: Consumer = import_string(paths[consumer])
    return handler


def _subject(event: Event) -> dict[str, str]:
    """The references that the event's data name, for the log."""
    return {name: str(event.data[name]) for name in ("incident", "rollback") if event.data.get(name)}


def _put_back(pending_id: int, error: Exception, now: dt.datetime) -> None:
    """Later, with back-off (2 s, 4 s, … 2 min); a lock or a restart of the database counts half."""
    with transaction.atomic():
        pending = _locked(pending_id)
        if pending is None:
            return
        pending.attempts += 1
        pending.last_error = f"{type(error).__name__}: {error}"[:2000]
        pending.due_at = now + dt.timedelta(seconds=min(2**pending.attempts, 120))
        limit = MAX_ATTEMPTS * 2 if isinstance(error, DatabaseError) else MAX_ATTEMPTS
        if pending.attempts >= limit:
            pending.parked_at = now
            _alarm(pending, now)
        pending.save()


def _alarm(pending: PendingEvent, now: dt.datetime) -> None:
    events.record(
        events.system_stream().pk,
        kind="outbox.parked",
        actor=SYSTEM,
        now=now,
        summary=f"{pending.consumer} gave up on {pending.event.kind} after {pending.attempts} attempts",
        data={"event": pending.event_id, "consumer": pending.consumer},
    )


def _locked(pending_id: int) -> PendingEvent | None:
    rows = PendingEvent.objects.select_for_update(of=("self",), no_key=True).select_related("event")
    return rows.filter(pk=pending_id).first()
