"""Commands that write on the timeline by hand: notes, actions, decisions."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import Actor
from core.errors import Invalid
from core.events import SUMMARY_LENGTH
from core.models import Event
from incidents.services.incidents import EARLIEST, lock_incident
from incidents.timeline import record_on_incident

KINDS = {"note": "note.added", "action": "action.taken", "decision": "decision.made"}


@transaction.atomic
def add_note(
    *,
    incident_id: int,
    summary: str,
    actor: Actor,
    now: dt.datetime,
    kind: str = "note",
    occurred_at: dt.datetime | None = None,
) -> Event:
    """Write a note, an action or a decision; `occurred_at` back-dates what happened before now."""
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if not summary.strip():
        raise Invalid({"summary": "Say something."})
    if len(summary) > SUMMARY_LENGTH:
        raise Invalid({"summary": f"At most {SUMMARY_LENGTH} characters."})
    if occurred_at is not None and not EARLIEST <= occurred_at <= now + dt.timedelta(minutes=5):
        raise Invalid({"occurred_at": "Must lie between the year 2000 and now."})
    return record_on_incident(
        incident,
        KINDS[kind],
        summary,
        actor=actor,
        now=now,
        occurred_at=occurred_at,
        source="person",
    )
