"""The response clock. Source: seed, Severity Levels; rulings, Thresholds and severities."""

from __future__ import annotations

import datetime as dt

from incidents.states import Severity


def response_seconds(severity_seconds: float, security_seconds: float | None) -> float:
    """Seconds to the first response: the stricter of the severity's and the security level's."""
    return severity_seconds if security_seconds is None else min(severity_seconds, security_seconds)


def response_due(start: dt.datetime, seconds: float) -> dt.datetime:
    return start + dt.timedelta(seconds=seconds)


def response_due_after_change(
    *, due: dt.datetime, changed_at: dt.datetime, old: Severity, new: Severity, new_seconds: float
) -> dt.datetime:
    """Raised: the earlier of the old due time and change + new target; lowered: the later of them."""
    return moved_due(due=due, changed_at=changed_at, raised=new.rank < old.rank, new_seconds=new_seconds)


def moved_due(*, due: dt.datetime, changed_at: dt.datetime, raised: bool, new_seconds: float) -> dt.datetime:
    """The same for any scale: more urgent never gives more time, less urgent never less."""
    fresh = response_due(changed_at, new_seconds)
    return min(due, fresh) if raised else max(due, fresh)


def is_breached(*, due: dt.datetime, acknowledged_at: dt.datetime | None, now: dt.datetime) -> bool:
    """Nobody had acknowledged when the response was due."""
    return due <= now if acknowledged_at is None else acknowledged_at > due
