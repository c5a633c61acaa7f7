"""The scorecard of a drill, and the calendar that plans drills."""

from __future__ import annotations

import calendar
import datetime as dt
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbacks.rules.drills import LAST, Monthly, Run, Scorecard, occasions, score
from rollbacks.states import DrillAction, DrillResult

BEGAN = dt.datetime(2026, 11, 10, 10, tzinfo=dt.UTC)
TARGETS: dict[DrillAction, float] = {DrillAction.ACKNOWLEDGED: 300, DrillAction.DECIDED: 900}


def after(seconds: float) -> dt.datetime:
    return BEGAN + dt.timedelta(seconds=seconds)


def card(
    done: dict[DrillAction, float], *, ended: float | None = 3600, now: float = 3600, **more: object
) -> Scorecard:
    run = Run(
        began_at=BEGAN,
        ended_at=None if ended is None else after(ended),
        done_at={action: after(seconds) for action, seconds in done.items()},
        **more,  # type: ignore[arg-type]
    )
    return score(TARGETS, run, answer_within=600, now=after(now))


def results(found: Scorecard) -> list[str]:
    return [line.result.value for line in found.lines]


def test_each_action_is_held_against_its_target() -> None:
    found = card({DrillAction.ACKNOWLEDGED: 300, DrillAction.DECIDED: 901})
    assert results(found) == ["met", "late"], "the target itself is in time"
    assert [line.took_seconds for line in found.lines] == [300, 901]
    assert (found.met, found.passed) == (1, False)


def test_what_was_never_done_is_missed_and_while_it_runs_it_waits_or_is_overdue() -> None:
    assert results(card({})) == ["missed", "missed"]
    assert results(card({}, ended=None, now=600)) == ["overdue", "waiting"]


def test_a_failed_step_is_no_pass() -> None:
    done = {DrillAction.ACKNOWLEDGED: 1.0, DrillAction.DECIDED: 2.0}
    assert card(done).passed
    assert not card(done, steps_failed=1).passed


def test_an_inject_is_answered_by_what_follows_it_before_the_next_one() -> None:
    found = card({}, injected_at=[after(60), after(120), after(2000)], acted_at=[after(130), after(2601)])
    assert (found.injects_sent, found.injects_answered) == (3, 1)


@given(
    done=st.dictionaries(st.sampled_from(DrillAction), st.integers(0, 7200)),
    targets=st.dictionaries(st.sampled_from(DrillAction), st.integers(1, 7200), min_size=1),
    ended=st.none() | st.integers(0, 7200),
    now=st.integers(0, 9000),
    failed=st.integers(0, 3),
    injected=st.lists(st.integers(0, 7200), max_size=6),
    acted=st.lists(st.integers(0, 7200), max_size=6),
    sooner=st.integers(0, 7200),
)
def test_a_scorecard_adds_up_and_nobody_loses_by_being_faster(
    done: dict[DrillAction, int],
    targets: dict[DrillAction, int],
    ended: int | None,
    now: int,
    failed: int,
    injected: list[int],
    acted: list[int],
    sooner: int,
) -> None:
    def made(done_at: dict[DrillAction, int]) -> Scorecard:
        run = Run(
            began_at=BEGAN,
            ended_at=None if ended is None else after(ended),
            done_at={action: after(at) for action, at in done_at.items()},
            steps_failed=failed,
            injected_at=[after(at) for at in injected],
            acted_at=[after(at) for at in acted],
        )
        return score({a: float(s) for a, s in targets.items()}, run, answer_within=600, now=after(now))

    found = made(done)
    assert [line.action for line in found.lines] == [action for action in DrillAction if action in targets]
    for line in found.lines:
        assert (line.took_seconds is not None) == (line.action in done)
        if line.took_seconds is not None:
            assert (line.result is DrillResult.MET) == (line.took_seconds <= line.target_seconds)
        elif ended is not None:
            assert line.result is DrillResult.MISSED
        else:
            assert line.result in (DrillResult.WAITING, DrillResult.OVERDUE)
    assert 0 <= found.injects_answered <= min(found.injects_sent, len(injected))
    assert found.injects_answered == 0 or acted
    assert found.passed == (found.met == len(found.lines) and failed == 0)
    faster = made({action: min(at, sooner) for action, at in done.items()})
    assert faster.met >= found.met


# --- the calendar -------------------------------------------------------------------------------------


def local(monthly: Monthly, *, start: dt.datetime, count: int) -> list[str]:
    zone = ZoneInfo(monthly.zone)
    return [f"{at.astimezone(zone):%Y-%m-%d %H:%M}" for at in islice(occasions(monthly, after=start), count)]


EVERY = tuple(range(1, 13))
EPOCH = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("monthly", "expected"),
    [
        (Monthly(EVERY, dt.time(10), "UTC", weekday=1, week=2), ["2026-12-08", "2027-01-12", "2027-02-09"]),
        (Monthly(EVERY, dt.time(10), "UTC", weekday=4, week=LAST), ["2026-12-25", "2027-01-29", "2027-02-26"]),
        (Monthly(EVERY, dt.time(10), "UTC", day=31), ["2026-11-30", "2026-12-31", "2027-01-31"]),
        (Monthly((2,), dt.time(10), "UTC", day=30), ["2027-02-28", "2028-02-29", "2029-02-28"]),
        (Monthly((), dt.time(10), "UTC", day=1), []),
    ],
)  # fmt: skip
def test_days_of_the_calendar(monthly: Monthly, expected: list[str]) -> None:
    found = local(monthly, start=dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC), count=3)
    assert [at[:10] for at in found] == expected


def test_it_is_ten_o_clock_in_summer_and_in_winter() -> None:
    monthly = Monthly((3, 4, 10, 11), dt.time(10), "Europe/Berlin", day=31)
    found = list(islice(occasions(monthly, after=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), 4))
    assert [at.hour for at in found] == [8, 8, 9, 9], "31 March and 30 April are summer, 31 October is not"


def test_a_time_that_the_clocks_leave_out_or_repeat() -> None:
    skipped = Monthly((3,), dt.time(2, 30), "Europe/Berlin", weekday=6, week=LAST)
    assert local(skipped, start=BEGAN, count=1) == ["2027-03-28 03:30"]
    twice = Monthly((10,), dt.time(2, 30), "Europe/Berlin", weekday=6, week=LAST)
    (first,) = islice(occasions(twice, after=dt.datetime(2027, 1, 1, tzinfo=dt.UTC)), 1)
    assert f"{first:%Y-%m-%d %H:%M}" == "2027-10-31 00:30", "the first of the two: still summer time"


@given(
    start=st.integers(0, 20 * 365 * 24 * 60).map(lambda minutes: EPOCH + dt.timedelta(minutes=minutes)),
    months=st.sets(st.integers(1, 12), min_size=1),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"]),
    at=st.times(),
    day=st.none() | st.integers(1, 31),
    weekday=st.integers(0, 6),
    week=st.sampled_from([1, 2, 3, 4, LAST]),
)
def test_there_is_one_in_each_of_its_months(
    start: dt.datetime,
    months: set[int],
    zone: str,
    at: dt.time,
    day: int | None,
    weekday: int,
    week: int,
) -> None:
    at = at.replace(tzinfo=None, fold=0)
    monthly = Monthly(months, at, zone, weekday=None if day else weekday, week=week, day=day)
    found = list(islice(occasions(monthly, after=start), 14))
    assert all(a < b for a, b in zip([start, *found], found, strict=False))
    days = [one.astimezone(ZoneInfo(zone)) for one in found]
    counted = [one.year * 12 + one.month - 1 for one in days]
    span = range(counted[0], counted[-1] + 1)
    assert counted == [n for n in span if n % 12 + 1 in months], "none is left out, none comes twice"
    for one in days:
        length = calendar.monthrange(one.year, one.month)[1]
        if day:
            assert one.day == min(day, length)
        else:
            assert one.weekday() == weekday
            assert one.day > length - 7 if week == LAST else (one.day - 1) // 7 + 1 == week
