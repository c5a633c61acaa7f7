"""Doors for events: automation considers a rollback when a threshold was exceeded."""

from __future__ import annotations

import datetime as dt

from core.models import Event
from rollbacks.services.decisions import consider_automatic_rollback, reconsider_after_release


def consider_rollback(event: Event, now: dt.datetime) -> None:
    """A service exceeded a threshold, or the release that did it was recorded only now.

    Idempotent: one live rollback per service is the limit, and one attempt per release.
    """
    if event.kind == "release.recorded":
        reconsider_after_release(service=event.data["service"], version=event.data["version"], now=now)
    elif event.data["rollback"] != "none":
        consider_automatic_rollback(
            incident_ref=event.data["incident"],
            service=event.data["service"],
            metric=event.data["metric"],
            effect=event.data["rollback"],
            policy_key=event.data["policy"],
            cause=event.summary,
            now=now,
        )
