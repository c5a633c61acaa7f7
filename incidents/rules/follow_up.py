"""When somebody is reminded of what is due on a day of the calendar. Pure.

A day is one of UTC: an item due on the 3rd is overdue from 4th 00:00 UTC on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

DAY = dt.timedelta(days=1)
DUE_SOON, OVERDUE = "due_soon", "overdue"


@dataclass(frozen=True)
class ReminderPlan:
    """So many days before, at that time of the day; and every so many days from the end of the due day on."""

    days_before: Collection[int]
    at: dt.timedelta
    every: dt.timedelta


def is_past(due_on: dt.date, now: dt.datetime) -> bool:
    """Whether the day has ended."""
    return now >= end_of(due_on)


def end_of(day: dt.date) -> dt.datetime:
    """The moment after its last one."""
    return _midnight(day) + DAY


def next_reminder(due_on: dt.date, *, after: dt.datetime, plan: ReminderPlan) -> dt.datetime:
    """The first moment later than `after` at which a reminder is due; there always is one."""
    before = (_midnight(due_on) - days * DAY + plan.at for days in plan.days_before)
    overdue = end_of(due_on)
    if overdue <= after:
        overdue += ((after - overdue) // plan.every + 1) * plan.every
    return min(moment for moment in (*before, overdue) if moment > after)


def reminder_kind(due_on: dt.date, now: dt.datetime) -> str:
    """What is true when a reminder is said, however late that is."""
    return OVERDUE if is_past(due_on, now) else DUE_SOON


def reminder_before_end(
    starts_at: dt.datetime, ends_at: dt.datetime, percent_left: int
) -> dt.datetime | None:
    """When so much of a window is left; None where nobody is reminded (0)."""
    return ends_at - (ends_at - starts_at) * percent_left / 100 if percent_left else None


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
