"""When somebody sleeps. Pure."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo


def zone_of(name: str) -> dt.tzinfo:
    """The time zone of that name; UTC for a name that the installed tables do not (or no longer) know."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return dt.UTC


def quiet_until(
    now: dt.datetime, *, zone: str, begin: dt.time | None, end: dt.time | None
) -> dt.datetime | None:
    """When the quiet hours that `now` falls into are over; None outside of them.

    `begin` and `end` are the clock on the wall in `zone`, on any day; from 22:00 to 7:00 goes over
    midnight. An end that the change to summer time leaves out is the moment it jumps to.
    """
    if begin is None or end is None or begin == end:
        return None
    there = now.astimezone(zone_of(zone))
    clock = there.time()
    inside = begin <= clock < end if begin < end else (clock >= begin or clock < end)
    if not inside:
        return None
    day = there.date()
    if begin > end and clock >= begin:
        day += dt.timedelta(days=1)
    over = dt.datetime.combine(day, end, tzinfo=zone_of(zone)).astimezone(dt.UTC)
    return over if over > now else None
