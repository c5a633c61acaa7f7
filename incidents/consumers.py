"""Doors for events: what this app does about what happened."""

from __future__ import annotations

import datetime as dt

from core.models import Event
from incidents.services import reports, training
from incidents.services.breaches import answer_level_change
from incidents.services.checklists import answer_event, is_known_to_checklists


def declare_for_breach(event: Event, now: dt.datetime) -> None:
    """A monitor's level changed: open the service's incident or tell the open one.

    Idempotent: the outbox row and this transaction end together.
    """
    answer_level_change(
        monitor_id=event.data["monitor"],
        level=event.data["to"],
        cause=event.summary,
        event_id=event.pk,
        now=now,
        at=event.data.get("at"),
        catastrophic=bool(event.data.get("catastrophic")),
    )


def keep_checklists(event: Event, now: dt.datetime) -> None:
    """Open checklists and tick what the machine did itself; idempotent by the event."""
    answer_event(event=event, now=now)


def draft_report(event: Event, now: dt.datetime) -> None:
    """The incident was resolved: begin its report; idempotent, what people wrote stays."""
    reports.draft_report(event=event, now=now)


def count_drill(event: Event, now: dt.datetime) -> None:
    """A drill was finished: who took part has done the courses that it counts for; idempotent by its time."""
    training.count_drill(event=event, now=now)


def is_answered(kind: str) -> bool:
    """Whether `keep_checklists` has anything to do."""
    return is_known_to_checklists(kind)
