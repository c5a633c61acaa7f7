"""When it is said that something is to be done: before it is due, when it is, and until it is done. Pure.

A day is one of UTC: an item due on the 3rd is overdue from 4th 00:00 UTC on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

DAY = dt.timedelta(days=1)
DUE_SOON, OVERDUE = "due_soon", "overdue"


@dataclass(frozen=True)
class Plan:
    """So long `before` something is due, when it is due, and every so long after that."""

    before: Collection[dt.timedelta]
    every: dt.timedelta

    @classmethod
    def by_days(cls, days_before: Collection[int], at: dt.timedelta, every: dt.timedelta) -> Plan:
        """For what is due on a day: so many days before it, at that time of the day."""
        return cls(tuple((days + 1) * DAY - at for days in days_before), every)


def next_moment(due_at: dt.datetime, *, after: dt.datetime, plan: Plan) -> dt.datetime:
    """The first moment later than `after` at which something is to be said; there always is one."""
    overdue = due_at
    if overdue <= after:
        overdue += ((after - overdue) // plan.every + 1) * plan.every
    before = (due_at - so_long for so_long in plan.before)
    return min(moment for moment in (*before, overdue) if moment > after)


def is_to_be_said(due_at: dt.datetime, *, said_at: dt.datetime | None, now: dt.datetime, plan: Plan) -> bool:
    """Whether a moment has come since something was said last (None: nothing ever was). Of several that were
    missed, one is said; the next ones come when they would have come.
    """
    first = min((due_at - so_long for so_long in plan.before), default=due_at)
    if said_at is None:
        return first <= now
    return next_moment(due_at, after=said_at, plan=plan) <= now


def kind_of_reminder(due_at: dt.datetime, now: dt.datetime) -> str:
    """What is true when a reminder is said, however late that is."""
    return OVERDUE if due_at <= now else DUE_SOON


def is_past(due_on: dt.date, now: dt.datetime) -> bool:
    """Whether the day has ended."""
    return now >= end_of(due_on)


def end_of(day: dt.date) -> dt.datetime:
    """The moment after its last one."""
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC) + DAY


def reminder_before_end(
    starts_at: dt.datetime, ends_at: dt.datetime, percent_left: int
) -> dt.datetime | None:
    """When so much of a window is left; None where nobody is reminded (0)."""
    return ends_at - (ends_at - starts_at) * percent_left / 100 if percent_left else None
