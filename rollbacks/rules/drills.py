"""How a drill went against its targets, and when the next one is due by the calendar. Pure."""

from __future__ import annotations

import calendar
import datetime as dt
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from zoneinfo import ZoneInfo

from rollbacks.states import DrillAction, DrillResult

# --- the scorecard ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What happened in a drill. `done_at` has what was done; `injected_at` when each inject was sent, in
    order; `acted_at` when people did something. `ended_at` is None while it runs.
    """

    began_at: dt.datetime
    ended_at: dt.datetime | None
    done_at: Mapping[DrillAction, dt.datetime] = field(hash=False)
    steps_failed: int = 0
    injected_at: Sequence[dt.datetime] = ()
    acted_at: Sequence[dt.datetime] = ()


@dataclass(frozen=True)
class Line:
    """One expected action; times are seconds from the beginning."""

    action: DrillAction
    target_seconds: int
    took_seconds: int | None
    result: DrillResult


@dataclass(frozen=True)
class Scorecard:
    """How a drill went. It is passed when everything was done in time and no step failed."""

    lines: tuple[Line, ...]
    steps_failed: int
    injects_sent: int
    injects_answered: int

    @property
    def passed(self) -> bool:
        return self.steps_failed == 0 and all(line.result is DrillResult.MET for line in self.lines)

    @property
    def met(self) -> int:
        return sum(line.result is DrillResult.MET for line in self.lines)


def score(
    targets: Mapping[DrillAction, float], run: Run, *, answer_within: float, now: dt.datetime
) -> Scorecard:
    """The scorecard of a drill, also while it runs.

    An inject is answered when a person did something after it, within `answer_within` seconds and before the
    next one: who acts late on the second has not shown that the first was noticed.
    """
    seen_until = run.ended_at or now
    sent = sorted(run.injected_at)
    limit = dt.timedelta(seconds=answer_within)
    return Scorecard(
        lines=tuple(
            _line(action, targets[action], run, seen_until) for action in DrillAction if action in targets
        ),
        steps_failed=run.steps_failed,
        injects_sent=len(sent),
        injects_answered=sum(
            _is_answered(at, min([at + limit, *sent[number : number + 1]]), run.acted_at)
            for number, at in enumerate(sent, start=1)
        ),
    )


def _line(action: DrillAction, target: float, run: Run, seen_until: dt.datetime) -> Line:
    done_at = run.done_at.get(action)
    if done_at is not None:
        took = max(0, round((done_at - run.began_at).total_seconds()))
        result = DrillResult.MET if took <= target else DrillResult.LATE
        return Line(action, round(target), took, result)
    if run.ended_at is not None:
        return Line(action, round(target), None, DrillResult.MISSED)
    in_time = (seen_until - run.began_at).total_seconds() <= target
    return Line(action, round(target), None, DrillResult.WAITING if in_time else DrillResult.OVERDUE)


def _is_answered(sent_at: dt.datetime, until: dt.datetime, acted_at: Collection[dt.datetime]) -> bool:
    return any(sent_at <= at <= until for at in acted_at)


# --- the calendar -------------------------------------------------------------------------------------

LAST = -1
_YEAR = dt.timedelta(days=366)


@dataclass(frozen=True)
class Monthly:
    """A day of each of `months`, at a time of a zone: the `week`th `weekday` (0 is Monday, LAST the last
    one), or the `day`; a day that a month does not have is its last.
    """

    months: Collection[int]
    at: dt.time
    zone: str
    weekday: int | None = None
    week: int = 1
    day: int | None = None


def occasions(monthly: Monthly, *, after: dt.datetime) -> Iterator[dt.datetime]:
    """All occasions later than `after`, in order, in UTC; nothing where no month is named.

    A time that the clocks leave out is later by what they leave out; of one that comes twice, the first.
    """
    if not monthly.months:
        return
    zone = ZoneInfo(monthly.zone)
    local = after.astimezone(zone)
    year, month = local.year, local.month
    while year < dt.MAXYEAR:
        if month in monthly.months:
            day = _day_of(monthly, year, month)
            at = dt.datetime.combine(dt.date(year, month, day), monthly.at, zone).astimezone(dt.UTC)
            if at > after:
                yield at
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def services_each_time(monthly: Monthly, *, begins: dt.datetime, within: dt.timedelta, services: int) -> int:
    """How many of `services` to rehearse on the occasion at `begins`, if they take turns, so that none waits
    longer than `within` for its next one; all of them where the occasions are farther apart.

    Months differ: what counts is the fewest occasions that lie within that time after one of a year
    before or after, so that a day does not leave to the next ones what they do not manage.
    """
    within = min(within, 10 * _YEAR)
    days = list(takewhile(lambda at: at <= begins + _YEAR + within, occasions(monthly, after=begins - _YEAR)))
    turns = min(
        (sum(day < other <= day + within for other in days) for day in days if day <= begins + _YEAR),
        default=0,
    )
    return math.ceil(services / max(1, turns))


def weeks_later(at: dt.datetime, weeks: int, zone: str) -> dt.datetime:
    """The same time of the day by the clocks of the zone, in UTC."""
    local = at.astimezone(ZoneInfo(zone)) + dt.timedelta(weeks=weeks)
    return local.astimezone(dt.UTC)


def _day_of(monthly: Monthly, year: int, month: int) -> int:
    first, length = calendar.monthrange(year, month)
    if monthly.weekday is None:
        return min(monthly.day or 1, length)
    days = range(1 + (monthly.weekday - first) % 7, length + 1, 7)
    return days[-1] if monthly.week == LAST else days[min(monthly.week, len(days)) - 1]
