"""Measurements: what is stored, when a monitor believes them, and when it looks again."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.errors import Invalid
from core.live import CHANNEL
from core.models import Event
from incidents import polling
from incidents.facts import Reading
from incidents.models import Monitor, Release, Sample, Service
from incidents.playbook import Limits
from incidents.rules.levels import counted_before, is_catastrophic, is_clear, not_raised, rank
from incidents.services import monitors as commands
from incidents.services.measuring import observe, observe_all, push_samples
from incidents.services.services import create_service, record_release, switch_back
from incidents.states import FailureKind, MonitorLevel, SampleOutcome
from tests.conftest import make_service

L, O = MonitorLevel, SampleOutcome  # noqa: E741
SOURCE = {"type": "http_json", "url": "http://127.0.0.1:1/x", "path": "error_rate"}
SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
FAILED = Reading.failed(FailureKind.TIMED_OUT, "no answer")

pytestmark = pytest.mark.django_db


def make_monitor(service: Service, now: dt.datetime, metric: str = "error_rate", **more: Any) -> Monitor:
    return commands.create_monitor(
        actor=SYSTEM, now=now, service=service.slug, metric=metric, source=more.pop("source", SOURCE), **more
    )


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    return make_monitor(shop, now)


@pytest.fixture
def minutes(now: dt.datetime) -> Iterator[dt.datetime]:
    return (now + n * MINUTE for n in range(1, 1000))


def level_events(monitor: Monitor) -> list[tuple[str, str]]:
    rows = Event.objects.filter(kind="monitor.level_changed", data__monitor=monitor.pk).order_by("pk")
    return [(event.data["from"], event.data["to"]) for event in rows]


class TestABatch:
    def test_costs_the_same_whatever_its_size(self, now: dt.datetime) -> None:
        counts = []
        for size in (3, 30):
            made = [make_monitor(make_service(f"s{size}-{n}", now), now) for n in range(size)]
            with CaptureQueriesContext(
                connection,
            ) as queries:
                observe_all({one.pk: Reading.of(0.001) for one in made}, now=now)
            counts.append(len(queries))
            assert Sample.objects.filter(monitor__in=made).count() == size
        assert counts[0] == counts[1] <= 8

    @pytest.mark.django_db(transaction=True)
    def test_open_pages_hear_of_every_service_in_few_notifications(self, now: dt.datetime) -> None:
        """Each takes a place in every reader's queue of 200: a batch must not fill it."""
        slugs = [f"{n:03}-{'x' * 56}" for n in range(130)]
        with transaction.atomic():
            services = [create_service(actor=SYSTEM, now=now, slug=slug, name=slug) for slug in slugs]
            made = [make_monitor(service, now) for service in services]
        with psycopg.connect(**connection.get_connection_params() | {"autocommit": True}) as link:
            link.execute(f"LISTEN {CHANNEL}")
            observe_all({one.pk: Reading.of(0.001) for one in made}, now=now)
            heard = [json.loads(told.payload)["topics"] for told in link.notifies(timeout=0.5)]
        assert {topic for topics in heard for topic in topics} == {f"service:{slug}" for slug in slugs}
        assert len(heard) <= 3

    def test_what_changes_a_level_is_an_event_and_nothing_is_stored_twice(self, now: dt.datetime) -> None:
        calm, bad = (make_monitor(make_service(slug, now), now) for slug in ("calm", "bad"))
        observe_all({calm.pk: Reading.of(0.001), bad.pk: Reading.of(0.06)}, now=now)
        assert level_events(calm) == []
        assert level_events(bad) == [("ok", "critical")]
        assert Sample.objects.count() == 2
        event = Event.objects.get(kind="monitor.level_changed")
        assert (event.data["catastrophic"], event.data["at"]) == (False, now.isoformat())

    def test_a_monitor_that_was_removed_meanwhile_spoils_nothing(
        self, shop: Service, now: dt.datetime
    ) -> None:
        gone, stays = make_monitor(shop, now), make_monitor(shop, now)
        Monitor.objects.filter(pk=gone.pk).update(enabled=False, removed_at=now)
        observe_all({gone.pk: Reading.of(0.001), stays.pk: Reading.of(0.001)}, now=now)
        assert list(Sample.objects.values_list("monitor", flat=True)) == [stays.pk]

    def test_why_there_was_no_answer_is_kept(self, monitor: Monitor, now: dt.datetime) -> None:
        observe(monitor_id=monitor.pk, reading=FAILED, now=now)
        assert Sample.objects.get().failure == "timed_out"


class TestRechecks:
    """A first bad check is followed by two more within seconds, not an interval later."""

    def due_in(self, monitor: Monitor) -> float:
        monitor.refresh_from_db()
        assert monitor.next_check_due_at is not None
        return (monitor.next_check_due_at - utcnow()).total_seconds()

    @pytest.mark.parametrize("bad", [FAILED, Reading.of(0.06)])
    def test_two_more_then_the_grid_again(self, monitor: Monitor, bad: Reading) -> None:
        assert polling._claim(10).keys() == {monitor.pk}
        for left in (2, 1):
            observe(monitor_id=monitor.pk, reading=bad, now=utcnow())
            assert self.due_in(monitor) <= 2
            assert monitor.rechecks_left == left
            Monitor.objects.filter(pk=monitor.pk).update(next_check_due_at=utcnow())
            assert polling._claim(10).keys() == {monitor.pk}
        observe(monitor_id=monitor.pk, reading=bad, now=utcnow())
        assert monitor.pk not in polling._claim(10)
        assert monitor.rechecks_left == 1
        monitor.refresh_from_db()
        assert monitor.rechecks_left == 0

    def test_a_failure_that_lasts_is_asked_for_at_its_interval(self, monitor: Monitor) -> None:
        for _check in range(5):
            observe(monitor_id=monitor.pk, reading=FAILED, now=utcnow())
        monitor.refresh_from_db()
        assert (monitor.level, monitor.rechecks_left) == ("unknown", 0)
        observe(monitor_id=monitor.pk, reading=FAILED, now=utcnow())
        monitor.refresh_from_db()
        assert monitor.rechecks_left == 0

    def test_one_failed_check_of_three_opens_nothing(self, monitor: Monitor, now: dt.datetime) -> None:
        for n, reading in enumerate((FAILED, FAILED, Reading.of(0.001))):
            observe(monitor_id=monitor.pk, reading=reading, now=now + n * SECOND)
        assert level_events(monitor) == []

    def test_slots_lie_on_a_grid_that_the_id_shifts(self, shop: Service, now: dt.datetime) -> None:
        made = [make_monitor(shop, now) for _n in range(6)]
        polling._claim(10)
        seconds = {
            one.next_check_due_at.timestamp() % 60
            for one in Monitor.objects.filter(pk__in=[one.pk for one in made])
            if one.next_check_due_at
        }
        assert len(seconds) == 6, "they do not all come at the same second"
        Monitor.objects.update(next_check_due_at=utcnow() - 7 * SECOND)  # as a recheck or an outage leaves it
        polling._claim(10)
        assert {
            one.next_check_due_at.timestamp() % 60 for one in Monitor.objects.all() if one.next_check_due_at
        } == seconds


@pytest.mark.django_db(transaction=True)
def test_ten_workers_never_claim_a_slot_twice(now: dt.datetime) -> None:
    shop = make_service("many", now)
    made = {make_monitor(shop, now).pk for _n in range(60)}
    Monitor.objects.update(interval_seconds=86_400)  # of 60 slots a minute one would come while this runs
    claimed: list[int] = []
    start = threading.Barrier(10)

    def work() -> None:
        start.wait()
        while batch := polling._claim(7):
            claimed.extend(batch)
        connections.close_all()

    threads = [threading.Thread(target=work) for _n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(made)


class TestBelief:
    def test_of_few_requests_a_ratio_decides_nothing(self, monitor: Monitor, now: dt.datetime) -> None:
        observe(monitor_id=monitor.pk, reading=Reading.of(1.0, volume=19), now=now)
        assert (Sample.objects.get().outcome, level_events(monitor)) == ("too_few", [])
        observe(monitor_id=monitor.pk, reading=Reading.of(1.0, volume=20), now=now + MINUTE)
        assert level_events(monitor) == [("ok", "critical")]

    def test_a_complaint_ends_well_below_its_threshold(
        self, monitor: Monitor, minutes: Iterator[dt.datetime]
    ) -> None:
        for value, level in (
            (0.06, "critical"),
            *[(0.0161, "critical")] * 4,  # above 80 % of 2 %
            *[(0.016, "critical")] * 2,
            (0.016, "ok"),
        ):
            observe(monitor_id=monitor.pk, reading=Reading.of(value), now=next(minutes))
            monitor.refresh_from_db()
            assert monitor.level == level, value

    def test_one_burst_of_security_events_triggers_once(
        self, shop: Service, now: dt.datetime, minutes: Iterator[dt.datetime]
    ) -> None:
        """The count of the last five minutes shows a burst in five of its minutes."""
        monitor = make_monitor(shop, now, "security_events")
        for value in (12, 1, 1, 1, 12):  # it flickers: a collector was away for three minutes
            observe(monitor_id=monitor.pk, reading=Reading.of(value), now=next(minutes))
        assert level_events(monitor) == [("ok", "critical"), ("critical", "ok")]
        observe(monitor_id=monitor.pk, reading=Reading.of(24), now=next(minutes))
        assert level_events(monitor)[2:] == [("ok", "critical")], "twelve more are new"

    def test_right_after_a_rollback_the_window_is_made_of_the_time_before(
        self, shop: Service, commander: Actor, now: dt.datetime
    ) -> None:
        errors, latency = make_monitor(shop, now), make_monitor(shop, now, "response_time")
        before, after = now - dt.timedelta(days=2), now - dt.timedelta(hours=1)
        for version, at in (("1.0", before), ("2.0", after)):
            record_release(service_id=shop.pk, version=version, actor=commander, now=at, deployed_at=at)
        switch_back(
            service_id=shop.pk,
            from_version="2.0",
            to_version="1.0",
            rollback_ref="RB-1",
            actor=SYSTEM,
            now=now,
        )
        observe(monitor_id=errors.pk, reading=Reading.of(0.2), now=now + 30 * SECOND)
        assert level_events(errors) == []
        observe(monitor_id=latency.pk, reading=Reading.of(25_000), now=now + 30 * SECOND)
        assert level_events(latency) == [("ok", "critical")], "what is catastrophic is believed"
        observe(monitor_id=errors.pk, reading=Reading.of(0.2), now=now + 61 * SECOND)
        assert level_events(errors) == [("ok", "critical")]


class TestCleanliness:
    @pytest.fixture
    def release(self, shop: Service, commander: Actor, now: dt.datetime) -> Release:
        at = now - dt.timedelta(minutes=11)
        return record_release(service_id=shop.pk, version="1.0", actor=commander, now=at, deployed_at=at)

    def blind(self, monitor: Monitor, at: dt.datetime) -> None:
        for n in range(3):
            observe(monitor_id=monitor.pk, reading=FAILED, now=at + n * SECOND)

    def test_a_monitor_without_an_answer_takes_nothing_away(
        self, release: Release, monitor: Monitor, now: dt.datetime
    ) -> None:
        self.blind(monitor, now)
        release.refresh_from_db()
        assert release.clean_since == release.deployed_at

    def test_nobody_is_clean_while_nobody_looks(
        self, release: Release, monitor: Monitor, now: dt.datetime
    ) -> None:
        Release.objects.update(clean_since=now - MINUTE)
        self.blind(monitor, now)
        release.refresh_from_db()
        assert release.clean_since is None
        observe(monitor_id=monitor.pk, reading=Reading.of(0.001), now=now + MINUTE)
        release.refresh_from_db()
        assert release.clean_since == now + MINUTE

    def test_a_complaint_does(self, release: Release, monitor: Monitor, now: dt.datetime) -> None:
        observe(monitor_id=monitor.pk, reading=Reading.of(0.06), now=now)
        release.refresh_from_db()
        assert release.clean_since is None

    def test_a_release_that_comes_into_a_breach_is_not_clean(
        self, shop: Service, commander: Actor, monitor: Monitor, now: dt.datetime
    ) -> None:
        observe(monitor_id=monitor.pk, reading=Reading.of(0.06), now=now)
        release = record_release(service_id=shop.pk, version="2.0", actor=commander, now=now)
        release.refresh_from_db()
        assert release.clean_since is None


class TestPush:
    @pytest.fixture
    def pushed(self, shop: Service, now: dt.datetime) -> Monitor:
        return make_monitor(shop, now, source={"type": "push"})

    @pytest.fixture
    def push(self, pushed: Monitor, commander: Actor, now: dt.datetime) -> Callable[..., int]:
        def send(*readings: tuple[float, int], at: dt.datetime = now) -> int:
            """(value, seconds ago)."""
            sent = [Reading.of(value, at=now - ago * SECOND) for value, ago in readings]
            return push_samples(monitor_id=pushed.pk, readings=sent, actor=commander, now=at)

        return send

    def test_the_same_sample_counts_once(self, pushed: Monitor, push: Callable[..., int]) -> None:
        assert push((0.001, 30), (0.002, 20)) == 2
        assert push((0.001, 30), (0.002, 20), (0.003, 10)) == 1
        assert Sample.objects.count() == 3

    def test_they_are_judged_in_the_order_of_their_time(
        self, pushed: Monitor, push: Callable[..., int]
    ) -> None:
        push((0.001, 0), (0.06, 10), (0.001, 20))
        pushed.refresh_from_db()
        assert level_events(pushed) == [("ok", "critical")]
        assert pushed.last_value == 0.001

    def test_what_comes_late_judges_nothing(self, pushed: Monitor, push: Callable[..., int]) -> None:
        push((0.001, 10))
        push((0.9, 20), (0.9, 3000))
        pushed.refresh_from_db()
        assert (Sample.objects.count(), pushed.level, pushed.last_value) == (3, "ok", 0.001)

    def test_old_news_opens_no_incident(self, pushed: Monitor, push: Callable[..., int]) -> None:
        push((0.9, 121))
        assert level_events(pushed) == []
        push((0.9, 119))
        assert level_events(pushed) == [("ok", "critical")]

    @pytest.mark.parametrize("ago", [-301, 3601])
    def test_another_time_than_the_last_hour_is_refused(
        self, pushed: Monitor, push: Callable[..., int], ago: int
    ) -> None:
        with pytest.raises(Invalid) as refusal:
            push((0.001, 10), (0.001, ago))
        assert list(refusal.value.fields) == ["1/at"]
        assert not Sample.objects.exists()

    def test_a_clock_that_is_ahead_is_now(self, pushed: Monitor, push: Callable[..., int], now: Any) -> None:
        push((0.001, -200))
        assert Sample.objects.get().at == now

    def test_another_monitor_takes_no_samples(self, monitor: Monitor, commander: Actor, now: Any) -> None:
        with pytest.raises(Invalid, match="only monitors of source push"):
            push_samples(monitor_id=monitor.pk, readings=[Reading.of(1.0)], actor=commander, now=now)

    def test_silence_of_two_intervals_is_a_failed_check(self, pushed: Monitor) -> None:
        polling.run_due_checks(now=utcnow())
        assert not Sample.objects.exists(), "it has only just been made"
        Monitor.objects.update(answered_at=utcnow() - 121 * SECOND, next_check_due_at=utcnow())
        for _check in range(3):
            polling.run_due_checks(now=utcnow())
            Monitor.objects.update(next_check_due_at=utcnow())
        assert {sample.outcome for sample in Sample.objects.all()} == {"stale"}
        assert level_events(pushed) == [("ok", "unknown")]


values = st.floats(0, 1e6)
limits = st.builds(
    lambda a, b, c, direction: Limits(
        **dict(
            zip(("warning", "high", "critical"), sorted((a, b, c), reverse=direction == "below"), strict=True)
        ),
        direction=direction,
    ),
    values,
    values,
    values,
    st.sampled_from(["above", "below"]),
)


@given(values, limits, st.floats(0.1, 1))
def test_what_is_clear_is_no_complaint(value: float, given_limits: Limits, share: float) -> None:
    from incidents.rules.levels import level_of

    if is_clear(value, given_limits, share=share):
        assert level_of(value, given_limits) is L.OK


@given(st.sampled_from([L.OK, L.WARNING, L.HIGH, L.CRITICAL]), st.sampled_from(list(L)))
def test_no_new_evidence_makes_nothing_worse(level: MonitorLevel, current: MonitorLevel) -> None:
    kept = not_raised(level, current)
    assert rank(kept) <= rank(level)
    assert current is L.UNKNOWN or rank(kept) <= rank(current)


def test_only_what_is_beyond_the_threshold_is_catastrophic() -> None:
    known = Limits(critical=0.05, catastrophic=0.5)
    assert [is_catastrophic(value, known) for value in (None, 0.5, 0.51)] == [False, False, True]
    assert not is_catastrophic(1.0, Limits(critical=0.05))


@given(values, st.integers(0, 600), values)
def test_a_count_is_old_only_within_the_window_and_below_the_mark(
    value: float, ago: int, mark: float
) -> None:
    now = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
    old = counted_before(value, now, mark=(mark, now - ago * SECOND), window=dt.timedelta(minutes=5))
    assert old == (ago < 300 and value <= mark)
