"""Commands on monitors: create one, take in a measurement and judge it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from pydantic import ValidationError

from core import live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Invalid, NotFound
from incidents import policy
from incidents.facts import Reading
from incidents.models import Monitor, Release, Sample, Service
from incidents.playbook import Limits
from incidents.rules.levels import Measured, believed_level, level_of, rank, samples_needed
from incidents.sources import SOURCES
from incidents.states import Metric, MonitorLevel, ReleaseState, SampleOutcome
from incidents.timeline import record_on_service


@transaction.atomic
def create_monitor(
    *,
    actor: Actor,
    now: dt.datetime,
    service: str,
    metric: str,
    source: dict[str, Any],
    interval_seconds: int = 60,
    thresholds: dict[str, float] | None = None,
    policy: str = "rollback_triggers",
    on_monitoring_failure: str = "page",
    enabled: bool = True,
) -> Monitor:
    """Measure a metric of a service from now on. Raises Invalid naming the field."""
    if not actor.is_machine:
        require(actor, "configure")
    found = Service.objects.filter(slug=service).first()
    if found is None:
        raise Invalid({"service": "No such service."})
    _check(metric, source, thresholds, policy)
    monitor = Monitor.objects.create(
        service=found,
        metric=metric,
        source=source,
        interval_seconds=interval_seconds,
        thresholds=thresholds,
        policy=policy,
        on_monitoring_failure=on_monitoring_failure,
        enabled=enabled,
        created_at=now,
        level_since=now,
        next_check_due_at=now,
    )
    record_on_service(
        found,
        "monitor.created",
        f"{metric} is measured every {interval_seconds} s",
        actor=actor,
        now=now,
        data={"monitor": monitor.pk, "metric": metric},
    )
    return monitor


@transaction.atomic
def observe(*, monitor_id: int, reading: Reading, now: dt.datetime) -> MonitorLevel:
    """Store one measurement and judge the monitor; a changed level is an event of the service.

    Returns the monitor's level afterwards. A monitor deleted meanwhile raises NotFound.
    """
    rows = Monitor.objects.select_for_update(of=("self",), no_key=True).select_related("service")
    monitor = rows.filter(pk=monitor_id).first()
    if monitor is None:
        raise NotFound("No such monitor.")
    limits = policy.limits_for(monitor.metric, monitor.policy, monitor.thresholds)
    level = level_of(reading.value, limits) if reading.value is not None else MonitorLevel.OK
    Sample.objects.create(monitor=monitor, at=now, outcome=reading.outcome, value=reading.value, level=level)
    before = MonitorLevel(monitor.level)
    after = believed_level(_latest(monitor), current=before, rules=policy.thresholds().confirmation)
    monitor.checked_at, monitor.last_error = now, reading.error
    if reading.value is not None:
        monitor.last_value = reading.value
    if after is not before:
        monitor.level, monitor.level_since = after, now
        _record_change(monitor, before, after, reading, limits, now)
    monitor.save(update_fields=["checked_at", "last_error", "last_value", "level", "level_since"])
    live.poke(f"service:{monitor.service.slug}", "metrics")
    return after


def _check(metric: str, source: dict[str, Any], thresholds: dict[str, float] | None, policy_key: str) -> None:
    wrong: dict[str, str] = {}
    kind = str(source.get("type"))
    if kind not in SOURCES:
        wrong["source/type"] = f"Must be one of {', '.join(SOURCES)}."
    else:
        wrong |= SOURCES[kind][0](source)
    if policy_key not in policy.thresholds().policies:
        wrong["policy"] = f"The playbook has no policy {policy_key}."
    if thresholds:
        try:
            Limits(**thresholds)
        except ValidationError as error:
            wrong["thresholds"] = error.errors()[0]["msg"].removeprefix("Value error, ")
    elif metric not in Metric.values:
        wrong["thresholds"] = "A metric that no policy knows needs thresholds of its own."
    if wrong:
        raise Invalid(wrong)


def _latest(monitor: Monitor) -> list[Measured]:
    count = samples_needed(policy.thresholds().confirmation)
    rows = monitor.samples.order_by("-at", "-pk").values_list("outcome", "level")[:count]
    return [Measured(SampleOutcome(outcome), MonitorLevel(level)) for outcome, level in rows]


def _record_change(
    monitor: Monitor,
    before: MonitorLevel,
    after: MonitorLevel,
    reading: Reading,
    limits: Limits | None,
    now: dt.datetime,
) -> None:
    if after is MonitorLevel.UNKNOWN:
        said = f"{monitor.metric} cannot be measured: {reading.error}"
    else:
        shown = describe_value(monitor.metric, reading.value)
        limit = getattr(limits, after.value, None) if limits else None
        over = f", threshold {describe_value(monitor.metric, limit)}" if limit is not None else ""
        said = f"{monitor.metric} is {after.label.lower()}: {shown}{over}"
    _note_cleanliness(monitor, after, now)
    record_on_service(
        monitor.service,
        "monitor.level_changed",
        said,
        actor=SYSTEM,
        now=now,
        data={
            "monitor": monitor.pk,
            "metric": monitor.metric,
            "from": before,
            "to": after,
            "value": None if reading.value is None else repr(reading.value),
            "worse": rank(after) > rank(before),
        },
    )


def _note_cleanliness(monitor: Monitor, after: MonitorLevel, now: dt.datetime) -> None:
    """A release is clean only while no monitor of its service complains."""
    others = Monitor.objects.filter(service=monitor.service, enabled=True).exclude(pk=monitor.pk)
    clean = after is MonitorLevel.OK and not others.exclude(level=MonitorLevel.OK).exists()
    live_release = Release.objects.filter(service=monitor.service, state=ReleaseState.LIVE)
    live_release.update(clean_since=now if clean else None)


def describe_value(metric: str, value: float | None) -> str:
    """A value with its unit, for people: `33 %`, `120 ms`, `7 in 5 min`."""
    if value is None:
        return "no data"
    if metric in (Metric.ERROR_RATE, Metric.MEMORY_USAGE, Metric.CPU_USAGE):
        return f"{value * 100:.3g} %"
    if metric == Metric.RESPONSE_TIME:
        return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"
    if metric == Metric.SECURITY_EVENTS:
        return f"{value:.0f} in 5 min"
    return f"{value:.6g}"
