"""Monitors that cannot be measured: always an incident, a rollback only where something else agrees."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.actors import SYSTEM
from core.clock import utcnow
from core.models import Event
from core.outbox import deliver_pending
from incidents.facts import Reading
from incidents.models import Incident, Monitor, MonitoringOutage, Release
from incidents.playbook import Blindness
from incidents.rules.blindness import OWN_SIDE, Answer, Blind, answer_to, is_outage, is_outage_over
from incidents.selectors.outages import freeze_reason
from incidents.services.breaches import answer_blindness
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.outages import end_outage
from incidents.states import FailureKind, MonitorLevel, OnMonitoringFailure
from tests.conftest import make_service

MINUTE, SECOND = dt.timedelta(minutes=1), dt.timedelta(seconds=1)
RULES = Blindness()
Mode = OnMonitoringFailure


def blind(mode: OnMonitoringFailure = Mode.CORROBORATED, **more: Any) -> Blind:
    """A minute and a half without an answer, of a service deployed an hour ago."""
    known: dict[str, Any] = {
        "lasts": 90 * SECOND,
        "interval": MINUTE,
        "failure": FailureKind.TIMED_OUT,
        "outage": False,
        "others_answer": None,
        "evidence": ("response time is critical",),
        "live_for": dt.timedelta(hours=1),
    }
    return Blind(mode=mode, **(known | more))


@pytest.mark.parametrize(
    ("known", "rollback", "said", "final"),
    [
        (blind(Mode.PAGE), "none", "only pages", True),
        (blind(Mode.IMMEDIATE, evidence=(), lasts=0 * SECOND), "automatic", "at once", True),
        (blind(Mode.IMMEDIATE, outage=True), "none", "the monitoring itself", False),
        (blind(Mode.IMMEDIATE, failure=FailureKind.UNRESOLVED), "none", "own side", False),
        (blind(Mode.AFTER_N, lasts=179 * SECOND), "none", "has to last 3 min", False),
        (blind(Mode.AFTER_N, lasts=180 * SECOND), "automatic", "no answer for 3 min", True),
        (blind(Mode.AFTER_N, lasts=299 * SECOND, interval=100 * SECOND), "none", "last 5 min", False),
        (blind(), "automatic", "response time is critical", True),
        (blind(evidence=()), "none", "nothing else says", False),
        (blind(others_answer=True), "automatic", "response time", True),
        (blind(others_answer=False), "none", "no other service either", False),
        (blind(lasts=59 * SECOND), "none", "has to last 60 s", False),
        (blind(live_for=dt.timedelta(days=2)), "with_approval", "no recent release", True),
        (blind(live_for=None), "with_approval", "no recent release", True),
    ],
)
def test_what_follows(known: Blind, rollback: str, said: str, final: bool) -> None:
    answer = answer_to(known, RULES)
    assert (answer.rollback, answer.final) == (rollback, final)
    assert said in answer.reason


@given(
    st.builds(
        Blind,
        mode=st.sampled_from(list(Mode)),
        lasts=st.timedeltas(dt.timedelta(0), dt.timedelta(days=1)),
        interval=st.timedeltas(SECOND, dt.timedelta(hours=1)),
        failure=st.none() | st.sampled_from(list(FailureKind)),
        outage=st.booleans(),
        others_answer=st.none() | st.booleans(),
        evidence=st.lists(st.just("something")).map(tuple),
        live_for=st.none() | st.timedeltas(dt.timedelta(0), dt.timedelta(days=30)),
    )
)
def test_never_a_rollback_while_the_fault_may_be_ours(known: Blind) -> None:
    answer: Answer = answer_to(known, RULES)
    if known.outage or known.failure in OWN_SIDE or known.mode is Mode.PAGE:
        assert answer.rollback == "none"
    if known.mode is Mode.CORROBORATED and not known.evidence:
        assert answer.rollback == "none"
    assert answer.reason


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_an_outage_ends_later_than_it_began(blind_ones: int, watched: int) -> None:
    begun = is_outage(blind=blind_ones, watched=watched, rules=RULES)
    over = is_outage_over(blind=blind_ones, watched=watched, rules=RULES)
    assert not (begun and over)
    assert not begun or blind_ones >= 3


pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> dt.datetime:
    """A while ago: what is due a minute later is due."""
    return utcnow() - dt.timedelta(minutes=30)


def watch(slug: str, now: dt.datetime, url: str = "http://source/x", **more: Any) -> Monitor:
    return create_monitor(
        actor=SYSTEM,
        now=now,
        service=slug,
        metric=more.pop("metric", "error_rate"),
        source={"type": "http_json", "url": url, "path": "x"},
        **more,
    )


def fail(monitor: Monitor, at: dt.datetime, kind: FailureKind = FailureKind.TIMED_OUT) -> None:
    """Three failed checks, and everything that follows."""
    for n in range(3):
        observe(monitor_id=monitor.pk, reading=Reading.failed(kind, "no answer"), now=at + n * SECOND)
    deliver_pending(now=at)


def breaches(incident: Incident | None = None) -> list[tuple[str, str]]:
    rows = Event.objects.filter(kind="incident.breached").order_by("pk")
    return [(event.data["rollback"], event.summary) for event in rows]


def test_the_first_failed_cycle_opens_a_p0_and_says_why_nothing_is_rolled_back(
    shop: Any, now: dt.datetime
) -> None:
    fail(watch("shop", now), now)
    assert Incident.objects.get().severity == "P0"
    [(rollback, said)] = breaches()
    assert rollback == "none"
    assert said.endswith("; no rollback: nothing else says that the service fails")


def test_evidence_that_comes_later_is_heard(shop: Any, now: dt.datetime) -> None:
    monitor, probe = watch("shop", now), watch("shop", now, "http://shop/health", metric="response_time")
    fail(monitor, now)
    later = now + 90 * SECOND
    assert answer_blindness(now=later) == 0
    observe(monitor_id=probe.pk, reading=Reading.of(11_000), now=later)
    deliver_pending(now=later)
    assert answer_blindness(now=later) == 1
    assert answer_blindness(now=later + MINUTE) == 0, "it is said once"
    assert breaches()[-1][0] == "automatic"
    assert "response time is critical" in breaches()[-1][1]


def test_an_old_release_leaves_it_to_a_person(shop: Any, now: dt.datetime) -> None:
    Release.objects.filter(state="live").update(deployed_at=now - dt.timedelta(days=9))
    monitor, probe = watch("shop", now), watch("shop", now, "http://shop/health", metric="response_time")
    observe(monitor_id=probe.pk, reading=Reading.of(11_000), now=now)
    fail(monitor, now)
    assert answer_blindness(now=now + 2 * MINUTE) == 1
    assert breaches()[-1][0] == "with_approval"


def test_one_that_asks_the_same_source_is_no_evidence(shop: Any, now: dt.datetime) -> None:
    one, other = watch("shop", now), watch("shop", now, metric="memory_usage")
    fail(one, now)
    fail(other, now)
    assert answer_blindness(now=now + 2 * MINUTE) == 0


def test_a_source_that_answers_nobody_is_what_failed(shop: Any, now: dt.datetime) -> None:
    make_service("other", now)
    monitor, neighbour = watch("shop", now), watch("other", now)
    probe = watch("shop", now, "http://shop/health", metric="response_time")
    observe(monitor_id=probe.pk, reading=Reading.of(11_000), now=now)
    fail(neighbour, now)
    fail(monitor, now)
    assert answer_blindness(now=now + 2 * MINUTE) == 0
    observe(monitor_id=neighbour.pk, reading=Reading.of(0.001), now=now + 2 * MINUTE)
    assert answer_blindness(now=now + 2 * MINUTE) == 1, "it answers for others: shop is what fails"


class TestOutage:
    """Many services blind at once: the monitoring failed, and nothing is rolled back on its word."""

    @pytest.fixture
    def monitors(self, now: dt.datetime) -> list[Monitor]:
        for n in range(10):
            make_service(f"s{n}", now)
        return [watch(f"s{n}", now, f"http://source{n}/x") for n in range(10)]

    def test_one_incident_for_all_and_a_freeze(self, monitors: list[Monitor], now: dt.datetime) -> None:
        for monitor in monitors[:8]:
            fail(monitor, now)
        outage = MonitoringOutage.objects.get()
        assert outage.incident.title == "Monitoring outage: 3 of 10 services cannot be measured"
        assert (outage.incident.severity, outage.incident.origin) == ("P0", None)
        assert Incident.objects.count() == 3, "the two before it was one, and the outage"
        told = Event.objects.filter(kind="incident.service_blind", data__incident=outage.incident.ref)
        assert {event.data["service"] for event in told} == {f"s{n}" for n in range(2, 8)}
        assert outage.incident.ref in (freeze_reason(now=now) or "")
        assert answer_blindness(now=now + 10 * MINUTE) == 0

    def test_it_ends_when_most_can_be_measured_again(self, monitors: list[Monitor], now: dt.datetime) -> None:
        for monitor in monitors[:4]:
            fail(monitor, now)
        assert end_outage(now=now) == 0
        for n, monitor in enumerate(monitors[:3], start=1):
            observe(monitor_id=monitor.pk, reading=Reading.of(0.001), now=now + MINUTE)
            assert end_outage(now=now + MINUTE) == (1 if n == 3 else 0)
        assert freeze_reason(now=now) is None
        outage = MonitoringOutage.objects.get()
        assert outage.incident.is_open, "people resolve it"
        last = Event.objects.filter(stream=outage.incident.stream_id).order_by("-seq").first()
        assert last is not None
        assert last.summary == "Monitoring answers again: 9 of 10 services can be measured"

    def test_two_of_four_services_are_none(self, now: dt.datetime) -> None:
        for n in range(4):
            make_service(f"t{n}", now)
        for n in range(4):
            monitor = watch(f"t{n}", now, f"http://source{n}/x")
            if n < 2:
                fail(monitor, now)
        assert not MonitoringOutage.objects.exists()
        assert Monitor.objects.filter(level=MonitorLevel.UNKNOWN).count() == 2
