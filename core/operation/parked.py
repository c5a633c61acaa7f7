"""Giving parked events another try, once their cause is gone."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core import events, hints
from core.access import require
from core.actors import Actor
from core.errors import Conflict, NotAllowed
from core.models import PendingEvent

MOST_AT_ONCE = 500


class NothingParked(Conflict):
    """No such event is parked (any more)."""

    code = "nothing_parked"


@transaction.atomic
def retry_parked(*, actor: Actor, now: dt.datetime, pending_id: int | None = None) -> int:
    """Hand one parked event, or all of them (at most 500), to its consumer again; returns how many.

    Raises NotAllowed unless an administrator asks in person, NothingParked when there is none.
    """
    require(actor, "administer")
    if not actor.is_person:
        raise NotAllowed("Only a person retries parked events, never a token.")
    parked = PendingEvent.objects.filter(parked_at__isnull=False).order_by("pk")
    if pending_id is not None:
        parked = parked.filter(pk=pending_id)
    rows = list(parked.select_for_update(of=("self",), skip_locked=True, no_key=True)[:MOST_AT_ONCE])
    if not rows:
        raise NothingParked("It is not parked any more: somebody retried it, or it was handled.")
    PendingEvent.objects.filter(pk__in=[row.pk for row in rows]).update(
        parked_at=None, attempts=0, due_at=now
    )
    number = "1 parked event" if len(rows) == 1 else f"{len(rows)} parked events"
    events.record(
        events.system_stream().pk,
        kind="outbox.retried",
        actor=actor,
        summary=f"{number} given another try",
        now=now,
        data={"events": [row.event_id for row in rows], "consumers": sorted({row.consumer for row in rows})},
    )
    hints.wake("core.sweep_outbox")
    return len(rows)
