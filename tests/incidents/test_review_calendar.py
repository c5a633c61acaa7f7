"""When reviews open: by wall time, once for each week, month, quarter and year, whatever the clocks do."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from incidents.rules.reviews import Calendar, Slot, latest_slot, next_slot, slots_between
from incidents.states import Cadence

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Australia/Lord_Howe", "Pacific/Apia",
    "Pacific/Auckland", "Asia/Kathmandu",
)  # fmt: skip
DAY = dt.timedelta(days=1)
ON_A_BUSY_MACHINE = hypothesis_settings(
    database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

calendars = st.builds(
    Calendar,
    cadence=st.sampled_from(Cadence),
    day=st.integers(1, 7),
    at=st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
) | st.builds(
    Calendar,
    cadence=st.sampled_from([Cadence.MONTHLY, Cadence.QUARTERLY, Cadence.ANNUAL]),
    day=st.integers(1, 31),
    at=st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    month=st.just(1),
)
moments = st.integers(1_100_000_000, 2_900_000_000).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC))


@ON_A_BUSY_MACHINE
@given(calendars, moments)
def test_the_last_and_the_next_opening_enclose_every_moment(when: Calendar, now: dt.datetime) -> None:
    last, following = latest_slot(when, now), next_slot(when, now)
    assert last.opens_at <= now < following.opens_at
    assert following.begins_at == last.opens_at
    assert last.begins_at < last.opens_at
    assert last.period != following.period


@ON_A_BUSY_MACHINE
@given(calendars, moments, st.integers(1, 800))
def test_openings_follow_each_other_without_gap_or_repeat(
    when: Calendar, now: dt.datetime, days: int
) -> None:
    until = now + days * DAY
    slots = list(slots_between(when, now, until))
    assert all(now < slot.opens_at <= until for slot in slots)
    assert len({slot.period for slot in slots}) == len(slots)
    assert all(one.opens_at == other.begins_at for one, other in itertools.pairwise(slots))
    # The slow way: every day of the local calendar looked at for an opening.
    first = (now.astimezone(when.zone) - 2 * DAY).date()
    expected = [day for day in (first + n * DAY for n in range(days + 5)) if _is_day(when, day)]
    opens = [dt.datetime.combine(day, when.at, tzinfo=when.zone).astimezone(dt.UTC) for day in expected]
    assert [slot.opens_at for slot in slots] == [at for at in opens if now < at <= until]


def _is_day(when: Calendar, day: dt.date) -> bool:
    if when.cadence is Cadence.WEEKLY:
        return day.isoweekday() == when.day
    if when.cadence is Cadence.QUARTERLY and (day.month - 1) % 3 + 1 != when.month:
        return False
    if when.cadence is Cadence.ANNUAL and day.month != when.month:
        return False
    is_last = (day + DAY).month != day.month
    return day.day == when.day or (is_last and day.day < when.day)


@pytest.mark.parametrize(
    ("cadence", "day", "month", "now", "period", "begins", "opens"),
    [
        # Berlin goes to summer time on 2026-03-29: nine o'clock is an hour earlier in UTC from then on.
        (Cadence.WEEKLY, 1, 1, "2026-03-30T07:00Z", "2026-W14", "2026-03-23T08:00Z", "2026-03-30T07:00Z"),
        (Cadence.WEEKLY, 1, 1, "2026-03-30T06:59Z", "2026-W13", "2026-03-16T08:00Z", "2026-03-23T08:00Z"),
        # The first week of 2027 begins in 2027; 31 December 2026 lies in week 53.
        (Cadence.WEEKLY, 4, 1, "2026-12-31T12:00Z", "2026-W53", "2026-12-24T08:00Z", "2026-12-31T08:00Z"),
        (Cadence.MONTHLY, 31, 1, "2028-02-29T12:00Z", "2028-02", "2028-01-31T08:00Z", "2028-02-29T08:00Z"),
        (Cadence.QUARTERLY, 1, 2, "2026-12-01T12:00Z", "2026-Q4", "2026-08-01T07:00Z", "2026-11-01T08:00Z"),
        (Cadence.ANNUAL, 29, 2, "2027-03-01T12:00Z", "2027", "2026-02-28T08:00Z", "2027-02-28T08:00Z"),
    ],
)
def test_openings_by_hand(
    cadence: Cadence, day: int, month: int, now: str, period: str, begins: str, opens: str
) -> None:
    when = Calendar(cadence, day, dt.time(9), ZoneInfo("Europe/Berlin"), month)
    slot = latest_slot(when, dt.datetime.fromisoformat(now))
    assert slot.period == period
    assert (slot.begins_at, slot.opens_at) == tuple(map(dt.datetime.fromisoformat, (begins, opens)))


def test_an_hour_that_the_clocks_leave_out_still_opens_once() -> None:
    when = Calendar(Cadence.WEEKLY, 7, dt.time(2, 30), ZoneInfo("Europe/Berlin"))
    after = dt.datetime(2026, 3, 27, tzinfo=dt.UTC)
    slots = list(slots_between(when, after, after + 10 * DAY))
    assert [f"{slot.opens_at:%m-%d %H:%M}" for slot in slots] == ["03-29 01:30", "04-05 00:30"]


@pytest.mark.parametrize(
    ("zone", "cadence", "day", "month", "now", "period", "begins", "opens"),
    [
        # Auckland's clocks go on in September and back in April, and its day begins half a day before UTC's.
        ("Pacific/Auckland", Cadence.ANNUAL, 1, 1, "2026-12-31T20:00Z", "2027", "2025-12-31T20:00Z", "2026-12-31T20:00Z"),
        ("Pacific/Auckland", Cadence.ANNUAL, 1, 1, "2026-12-31T19:59Z", "2026", "2024-12-31T20:00Z", "2025-12-31T20:00Z"),
        ("Pacific/Auckland", Cadence.MONTHLY, 1, 1, "2026-10-01T00:00Z", "2026-10", "2026-08-31T21:00Z", "2026-09-30T20:00Z"),
        ("Pacific/Auckland", Cadence.WEEKLY, 1, 1, "2026-04-05T21:00Z", "2026-W15", "2026-03-29T20:00Z", "2026-04-05T21:00Z"),
        # Los Angeles: in November the week has an hour more; its year ends when UTC's is eight hours old.
        ("America/Los_Angeles", Cadence.WEEKLY, 1, 1, "2026-11-02T17:00Z", "2026-W45", "2026-10-26T16:00Z", "2026-11-02T17:00Z"),
        ("America/Los_Angeles", Cadence.QUARTERLY, 1, 1, "2027-01-01T17:00Z", "2027-Q1", "2026-10-01T16:00Z", "2027-01-01T17:00Z"),
        ("America/Los_Angeles", Cadence.QUARTERLY, 1, 1, "2027-01-01T16:59Z", "2026-Q4", "2026-07-01T16:00Z", "2026-10-01T16:00Z"),
        ("America/Los_Angeles", Cadence.ANNUAL, 31, 12, "2027-01-01T00:00Z", "2026", "2025-12-31T17:00Z", "2026-12-31T17:00Z"),
    ],
)  # fmt: skip
def test_openings_on_both_sides_of_the_world_by_hand(
    zone: str, cadence: Cadence, day: int, month: int, now: str, period: str, begins: str, opens: str
) -> None:
    slot = latest_slot(
        Calendar(cadence, day, dt.time(9), ZoneInfo(zone), month), dt.datetime.fromisoformat(now)
    )
    assert slot == Slot(period, *map(dt.datetime.fromisoformat, (begins, opens)))
