"""When a review opens and which time it looks at: a calendar by wall time, in a zone of its own. Pure."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from incidents.states import Cadence

MONTHS = {Cadence.MONTHLY: 1, Cadence.QUARTERLY: 3, Cadence.ANNUAL: 12}


@dataclass(frozen=True)
class Calendar:
    """When a kind of review opens. `day` is the day of the week (1 is Monday) of a weekly one, else of the
    month, the last one where the month is shorter; `month` counts from 1 within the quarter or year.
    """

    cadence: Cadence
    day: int
    at: dt.time
    zone: ZoneInfo
    month: int = 1


@dataclass(frozen=True)
class Slot:
    """One opening: `period` names the week, month, quarter or year it falls in, whatever the hour and the
    zone; it looks at the time from the opening before (`begins_at`) to its own.
    """

    period: str
    begins_at: dt.datetime
    opens_at: dt.datetime


def latest_slot(when: Calendar, now: dt.datetime) -> Slot:
    """The last opening that is not later than `now`."""
    index = _index(when, now.astimezone(when.zone).date()) + 1
    while _opens(when, index) > now:
        index -= 1
    return _slot(when, index)


def next_slot(when: Calendar, after: dt.datetime) -> Slot:
    """The first opening later than `after`."""
    index = _index(when, after.astimezone(when.zone).date()) - 1
    while _opens(when, index) <= after:
        index += 1
    return _slot(when, index)


def slots_between(when: Calendar, after: dt.datetime, until: dt.datetime) -> Iterator[Slot]:
    """Each opening later than `after` and not later than `until`, in order."""
    slot = next_slot(when, after)
    while slot.opens_at <= until:
        yield slot
        slot = next_slot(when, slot.opens_at)


def _slot(when: Calendar, index: int) -> Slot:
    return Slot(_name(when.cadence, index), _opens(when, index - 1), _opens(when, index))


def _index(when: Calendar, day: dt.date) -> int:
    """Which week, month, quarter or year the day lies in, counted through."""
    if when.cadence is Cadence.WEEKLY:
        return (day.toordinal() - 1) // 7  # 1 January of the year 1 was a Monday
    return (day.year * 12 + day.month - 1) // MONTHS[when.cadence]


def _opens(when: Calendar, index: int) -> dt.datetime:
    """In UTC. A wall time that a change of clocks leaves out counts as before it, of one that comes twice the
    first.
    """
    if when.cadence is Cadence.WEEKLY:
        day = dt.date.fromordinal(index * 7 + when.day)
    else:
        months = index * MONTHS[when.cadence] + when.month - 1
        year, month = divmod(months, 12)
        last = calendar.monthrange(year, month + 1)[1]
        day = dt.date(year, month + 1, min(when.day, last))
    return dt.datetime.combine(day, when.at, tzinfo=when.zone).astimezone(dt.UTC)


def _name(cadence: Cadence, index: int) -> str:
    """`2026-W48`, `2026-11`, `2026-Q4` or `2026`."""
    match cadence:
        case Cadence.WEEKLY:
            year, week, _day = dt.date.fromordinal(index * 7 + 1).isocalendar()
            return f"{year}-W{week:02d}"
        case Cadence.MONTHLY:
            return f"{index // 12}-{index % 12 + 1:02d}"
        case Cadence.QUARTERLY:
            return f"{index // 4}-Q{index % 4 + 1}"
    return str(index)
