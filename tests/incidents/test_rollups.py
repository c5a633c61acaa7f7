"""Samples become five-minute rows, the same whatever the order they came in; none goes before it was counted."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import retention
from core.actors import Actor
from incidents.models import Monitor, Rollup, RollupMark, Sample, Service
from incidents.rules.levels import FAILED
from incidents.rules.rollups import BUCKET, GRACE, LATEST, settled_before
from incidents.selectors import rollups as selectors
from incidents.selectors.series import series_of
from incidents.services import rollups
from incidents.services.monitors import forget_removed_monitors, remove_monitor
from incidents.services.rollups import roll_up
from incidents.states import SampleOutcome
from tests.conftest import make_service
from tests.pages.conftest import watch

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
LEVELS = ["ok", "warning", "high", "critical"]
BEGUN = dt.datetime(2026, 11, 23, 3, tzinfo=dt.UTC)


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    """A monitor that has measured nothing."""
    found = watch("shop", now)
    Sample.objects.all().delete()
    return found


def add(monitor: Monitor, at: dt.datetime, value: float | None, level: str = "ok") -> Sample:
    outcome = SampleOutcome.ERROR if value is None else SampleOutcome.OK
    return Sample.objects.create(monitor=monitor, at=at, outcome=outcome, value=value, level=level)


def recounted(before: dt.datetime) -> dict[tuple[int, dt.datetime], dict[str, Any]]:
    """The slow and obvious way: every bucket, from every sample before a moment."""
    buckets: dict[tuple[int, dt.datetime], list[Sample]] = {}
    for sample in Sample.objects.filter(at__lt=before):
        start = sample.at - (sample.at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) % BUCKET
        buckets.setdefault((sample.monitor_id, start), []).append(sample)
    found = {}
    for key, samples in buckets.items():
        values = [sample.value for sample in samples if sample.value is not None]
        levels = [LEVELS.index(sample.level) for sample in samples if sample.value is not None]
        found[key] = {
            "samples": len(samples),
            "measured": len(values),
            "unanswered": sum(sample.outcome in FAILED for sample in samples),
            "low": min(values, default=None),
            "high": max(values, default=None),
            "total": pytest.approx(math.fsum(values), rel=1e-9, abs=1e-6) if values else None,
            "level": LEVELS[max(levels)] if levels else "unknown",
        }
    return found


def rolled() -> dict[tuple[int, dt.datetime], dict[str, Any]]:
    names = ("samples", "measured", "unanswered", "low", "high", "total", "level")
    return {
        (row.monitor_id, row.start): {name: getattr(row, name) for name in names}
        for row in Rollup.objects.all()
    }


# (minutes after the beginning, minutes until it arrives, value, level); two may be at the same moment.
ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.one_of(st.just(0), st.integers(0, 60)),
        st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.02])),
        st.sampled_from(LEVELS),
    ),
    max_size=40,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrivals=ARRIVALS, sweeps=st.lists(st.integers(0, 400), max_size=6))
def test_rollups_are_what_the_samples_say_in_whatever_order_they_come(
    monitor: Monitor, arrivals: list[tuple[int, int, float | None, str]], sweeps: list[int]
) -> None:
    with transaction.atomic():
        Rollup.objects.all().delete()
        RollupMark.objects.all().delete()
        Sample.objects.all().delete()
        happens: list[tuple[int, tuple[int, int, float | None, str] | None]] = [
            *((row[0] + row[1], row) for row in arrivals),
            *((at, None) for at in sweeps),
        ]
        for minute, row in sorted(happens, key=lambda one: one[0]):
            if row is None:
                roll_up(now=BEGUN + dt.timedelta(minutes=minute))
            else:
                add(monitor, BEGUN + dt.timedelta(minutes=row[0]), row[2], row[3])
        end = BEGUN + dt.timedelta(minutes=400)
        roll_up(now=end)
        assert rolled() == recounted(settled_before(end))
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_ten_workers_at_once_roll_up_a_day_once(now: dt.datetime) -> None:
    make_service("shop", now)
    monitors = [watch("shop", now) for _ in range(3)]
    end = settled_before(now)
    Sample.objects.bulk_create(
        Sample(
            monitor=monitor, at=end - dt.timedelta(minutes=minute), outcome="ok", value=minute % 7, level="ok"
        )
        for monitor in monitors
        for minute in range(-30, 24 * 60)
    )
    made: list[int] = []
    begin = threading.Barrier(10)

    def work() -> None:
        begin.wait(30)
        for _again in range(40):
            made.append(roll_up(now=now))
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    assert rolled() == recounted(end)
    assert sum(made) == Rollup.objects.count()  # and none was made twice
    assert selectors.rolled_up_to() == end


def test_an_hour_is_rolled_up_when_nothing_can_come_for_it_any_more(monitor: Monitor) -> None:
    hour = BEGUN + HOUR
    add(monitor, BEGUN, 1)
    over = hour + LATEST + GRACE
    assert roll_up(now=over - dt.timedelta(seconds=1)) == 0
    add(monitor, hour - dt.timedelta(seconds=1), 2)  # as late as it may be
    assert roll_up(now=over) == 2
    assert selectors.rolled_up_to() == hour


def test_a_host_whose_clock_is_ahead_rolls_nothing_up_early(monitor: Monitor, now: dt.datetime) -> None:
    add(monitor, now - 3 * HOUR, 1)
    roll_up(now=now + DAY)
    assert selectors.rolled_up_to() == settled_before(now)


def test_doing_it_again_changes_nothing_even_when_half_of_it_is_forgotten(monitor: Monitor) -> None:
    for minute in range(10):
        add(monitor, BEGUN + dt.timedelta(minutes=minute), minute)
    roll_up(now=BEGUN + 3 * HOUR)
    before = rolled()
    RollupMark.objects.update(rolled_up_to=BEGUN)
    roll_up(now=BEGUN + 3 * HOUR)
    assert rolled() == before
    Sample.objects.filter(value__lt=7).delete()
    RollupMark.objects.all().delete()
    roll_up(now=BEGUN + 3 * HOUR)
    assert rolled() == before


def test_values_as_large_as_there_are_do_not_stop_it(monitor: Monitor) -> None:
    largest = 1.7976931348623157e308
    for second, value in enumerate([largest, largest, -largest, largest, 5e-324]):
        add(monitor, BEGUN + dt.timedelta(seconds=second), value)
    assert roll_up(now=BEGUN + 3 * HOUR) == 1
    row = Rollup.objects.get()
    assert (row.low, row.high) == (-largest, largest)
    assert row.mean is not None and math.isfinite(row.mean)


def test_a_sweep_stops_after_its_time_and_the_next_goes_on(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in range(30):
        add(monitor, BEGUN + hour * HOUR, hour)
    now = BEGUN + 32 * HOUR
    ticks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks) * 9.0)
    done = []
    while made := roll_up(now=now):
        done.append(made)
    assert len(done) > 10
    assert sum(done) == 30
    assert rolled() == recounted(settled_before(now))


def test_many_monitors_take_many_statements(
    shop: Service, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "MONITORS_AT_ONCE", 2)
    monitors = [watch("shop", now) for _ in range(5)]
    for monitor in monitors:
        add(monitor, now - 3 * HOUR, 1)
    roll_up(now=now)
    assert set(Rollup.objects.values_list("monitor_id", flat=True)) == {monitor.pk for monitor in monitors}


def test_no_sample_goes_before_it_is_rolled_up(monitor: Monitor, now: dt.datetime) -> None:
    old = now - 5 * DAY
    for minute in range(90):
        add(monitor, old + dt.timedelta(minutes=minute), minute)
    assert forgotten(now)["samples"] == 0  # nobody has rolled up anything yet
    RollupMark.objects.create(rolled_up_to=old + HOUR)
    assert forgotten(now)["samples"] == 60
    while roll_up(now=now):
        pass
    assert forgotten(now)["samples"] == 30
    assert sum(Rollup.objects.values_list("samples", flat=True)) == 30


def test_rollups_are_forgotten_too(monitor: Monitor, now: dt.datetime) -> None:
    row = {"samples": 1, "measured": 1, "unanswered": 0, "low": 1, "high": 1, "total": 1, "level": "ok"}
    for age in (36, 34):
        Rollup.objects.create(monitor=monitor, start=now - age * DAY, **row)
    assert forgotten(now)["rollups"] == 1
    assert Rollup.objects.get().start > now - 35 * DAY


def forgotten(now: dt.datetime) -> dict[str, int]:
    return {entry.name: entry.rows for entry in retention.run(now=now)}


def test_a_removed_monitor_takes_its_rollups_along(
    monitor: Monitor, make_actor: Callable[..., Actor], now: dt.datetime
) -> None:
    add(monitor, now - 3 * HOUR, 1)
    roll_up(now=now)
    remove_monitor(monitor_id=monitor.pk, actor=make_actor("adm", "administrator"), now=now)
    forget_removed_monitors(now=now)
    assert not Monitor.with_removed.exists()
    assert not Rollup.objects.exists()


def test_the_version_before_removes_a_monitor_that_has_rollups(monitor: Monitor, now: dt.datetime) -> None:
    """It knows nothing of them and deletes the monitor alone."""
    add(monitor, now - 3 * HOUR, 1)
    roll_up(now=now)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM incidents_sample")
        cursor.execute("DELETE FROM incidents_monitor")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not Rollup.objects.exists()


@pytest.mark.parametrize("wrong", [{"measured": 3}, {"low": None}, {"samples": 0}, {"measured": 0}])
def test_the_database_refuses_a_rollup_that_cannot_be(monitor: Monitor, wrong: dict[str, Any]) -> None:
    row = {"samples": 2, "measured": 2, "unanswered": 0, "low": 1, "high": 2, "total": 3, "level": "ok"}
    with pytest.raises(IntegrityError), transaction.atomic():
        Rollup.objects.create(monitor=monitor, start=BEGUN, **(row | wrong))


def test_a_second_mark_cannot_be(monitor: Monitor) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        RollupMark.objects.create(id=2, rolled_up_to=BEGUN)


def test_being_late_by_a_day_is_said(monitor: Monitor, now: dt.datetime) -> None:
    assert selectors.late_rollups() == ()
    RollupMark.objects.create(rolled_up_to=now - 20 * HOUR)
    assert selectors.late_rollups() == ()
    RollupMark.objects.update(rolled_up_to=now - 25 * HOUR)
    (trouble,) = selectors.late_rollups()
    assert (trouble.level, trouble.silences) == ("warning", False)


# --- what the charts read of both -----------------------------------------------------------------


def test_a_series_is_whole_across_the_mark(monitor: Monitor, now: dt.datetime) -> None:
    """Of samples and rollups together, no sample is left out and none counts twice."""
    count = 26 * 60
    for minute in range(count):
        add(monitor, now - dt.timedelta(minutes=minute), None if minute % 10 == 3 else float(minute))
    for hours in (6, 24, 30):
        before = series_of([monitor], start=now - hours * HOUR, end=now, now=now)
        roll_up(now=now)
        after = series_of([monitor], start=now - hours * HOUR, end=now, now=now)
        sums = [
            (sum(s.samples for s in found), sum(s.unanswered for s in found), max(s.high or 0 for s in found))
            for found in (before.slots[monitor.pk], after.slots[monitor.pk])
        ]
        assert abs(sums[0][0] - sums[1][0]) <= 5  # at the left edge a bucket is in or out as a whole
        assert abs(sums[0][1] - sums[1][1]) <= 1
        assert abs(sums[0][2] - sums[1][2]) <= 5
        RollupMark.objects.all().delete()
        Rollup.objects.all().delete()
    assert sums[1][0] == pytest.approx(count, abs=5)


@pytest.mark.parametrize("seconds", [1, 60, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400])
def test_a_chart_has_at_most_300_slots_whatever_its_span(
    monitor: Monitor, now: dt.datetime, seconds: int
) -> None:
    Sample.objects.bulk_create(
        Sample(
            monitor=monitor,
            at=now - n * dt.timedelta(seconds=seconds / 2_000),
            outcome="ok",
            value=n,
            level="ok",
        )
        for n in range(2_000)
    )
    series = series_of([monitor], start=now - dt.timedelta(seconds=seconds), end=now, now=now)
    assert 1 <= len(series.slots[monitor.pk]) <= 301
    assert series.last_value(monitor.pk) is not None


def test_what_is_not_there_yet_is_no_empty_space(monitor: Monitor, now: dt.datetime) -> None:
    """A monitor that is minutes old fills its chart."""
    Monitor.objects.update(created_at=now - dt.timedelta(minutes=5))
    asked = {"start": now - DAY, "end": now, "now": now}
    monitor.refresh_from_db()
    assert series_of([monitor], **asked).start == now - dt.timedelta(minutes=5)
    add(monitor, now - 2 * HOUR, 1)  # pushed with a time before
    assert series_of([monitor], **asked).start == now - 2 * HOUR
    assert series_of([], **asked).slots == {}


def test_a_short_span_of_last_week_is_drawn_from_what_is_left_of_it(
    monitor: Monitor, now: dt.datetime
) -> None:
    """The soak of an old rollback."""
    begun = now - 5 * DAY
    for minute in range(20):
        add(monitor, begun + dt.timedelta(minutes=minute), float(minute))
    asked = {"start": begun, "end": begun + dt.timedelta(minutes=20), "now": now}
    Monitor.objects.update(created_at=now - 9 * DAY)
    monitor.refresh_from_db()
    roll_up(now=now)
    while forgotten(now)["samples"]:
        pass
    assert not Sample.objects.exists()
    found = series_of([monitor], **asked).slots[monitor.pk]
    assert 3 <= len(found) <= 5
    assert min(slot.low or 0 for slot in found) < 5
    assert max(slot.high or 0 for slot in found) > 14
