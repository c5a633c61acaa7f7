"""What each threshold of the seed does, measured as it comes: the incident, and the rollback or none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from core.actors import SYSTEM
from core.outbox import deliver_pending
from incidents.facts import Reading
from incidents.models import Incident, Monitor, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.states import SampleOutcome
from rollbacks.models import Decision, Rollback
from tests.incidents.seed import SEED, around

pytestmark = pytest.mark.django_db

# Severity and kind of the incident, what automation decided, the state of the rollback.
Effect = tuple[str, str, str, str | None]
LOWER: dict[str, Effect] = {
    "rollback_triggers": ("P1", "operational", "awaits_approval", "awaiting_approval"),
    "performance": ("P2", "performance", "not_called_for", None),
}
CRITICAL: dict[str, Effect] = {
    "rollback_triggers": ("P0", "operational", "started", "approved"),
    "performance": ("P0", "performance", "started", "approved"),
}


def cases() -> Iterator[tuple[str, str, float, Effect | None]]:
    """Just below, at and just above each threshold, with what must come of it."""
    for policy, metric, lower, critical in SEED:
        yield from ((policy, metric, value, None) for value in around(lower)[:2])
        yield policy, metric, around(lower)[2], LOWER[policy]
        yield from ((policy, metric, value, LOWER[policy]) for value in around(critical)[:2])
        yield policy, metric, around(critical)[2], CRITICAL[policy]


def make_monitor(metric: str, policy: str, now: dt.datetime) -> Monitor:
    source = {"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": metric}
    return create_monitor(actor=SYSTEM, now=now, service="shop", metric=metric, policy=policy, source=source)


def measure(monitor: Monitor, value: float, now: dt.datetime) -> None:
    """Five times the same, as many as a warning takes to be believed; then everything that follows."""
    for seconds in (8, 6, 4, 2, 0):
        at = now - dt.timedelta(seconds=seconds)
        observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, value), now=at)
    deliver_pending(now=now)


def outcome() -> Effect | None:
    incident = Incident.objects.first()
    if incident is None:
        assert not Decision.objects.exists()
        assert not Rollback.objects.exists()
        return None
    decision, rollback = Decision.objects.get(), Rollback.objects.first()
    return incident.severity, incident.kind, decision.verdict, rollback.state if rollback else None


@pytest.mark.parametrize(("policy", "metric", "value", "effect"), cases())
def test_a_threshold_does_what_the_policy_says(
    shop: Service, now: dt.datetime, policy: str, metric: str, value: float, effect: Effect | None
) -> None:
    """A release of an hour ago is live: what is critical is rolled back without anybody being asked."""
    measure(make_monitor(metric, policy, now), value, now)
    assert outcome() == effect


def test_three_warnings_together_are_a_critical_performance_issue(shop: Service, now: dt.datetime) -> None:
    warning = {
        metric: around(lower)[2] for policy, metric, lower, _critical in SEED if policy == "performance"
    }
    for metric in ("response_time", "memory_usage", "memory_usage"):
        measure(make_monitor(metric, "performance", now), warning[metric], now)
        assert Incident.objects.get().severity == "P2"
        assert not Rollback.objects.exists(), "two metrics, one of them measured twice"
    measure(make_monitor("cpu_usage", "performance", now), warning["cpu_usage"], now)
    incident, rollback = Incident.objects.get(), Rollback.objects.get()
    assert (incident.severity, incident.kind) == ("P0", "performance")
    assert (rollback.state, rollback.trigger) == ("approved", "automated")
    verdicts = list(Decision.objects.order_by("pk").values_list("verdict", flat=True))
    assert verdicts == ["not_called_for"] * 3 + ["started"]
