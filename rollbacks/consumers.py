"""Doors for events: when a threshold was exceeded, automation considers a rollback."""

from __future__ import annotations

import datetime as dt

from core.models import Event
from rollbacks.services.decisions import consider_automatic_rollback


def consider_rollback(event: Event, now: dt.datetime) -> None:
    """An incident's service exceeded a threshold; idempotent, since one live rollback is the limit."""
    if event.data["rollback"] != "none":
        consider_automatic_rollback(
            incident_ref=event.data["incident"],
            service=event.data["service"],
            metric=event.data["metric"],
            effect=event.data["rollback"],
            policy_key=event.data["policy"],
            cause=event.summary,
            now=now,
        )
