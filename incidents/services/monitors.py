"""Commands on monitors: create, change and remove one; take in a measurement and judge it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
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
from incidents.values import describe_value

EDITABLE = ("source", "interval_seconds", "thresholds", "policy", "on_monitoring_failure", "enabled")
SAMPLES_AT_ONCE = 5_000
BATCHES_AT_ONCE = 20


@transaction.atomic
def create_monitor(
    *,
    actor: Actor,
    now: dt.datetime,
    service: str,
    metric: str,
    source: dict[str, Any],
    interval_seconds: int = 60,
    thresholds: dict[str, Any] | None = None,
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
def edit_monitor(*, monitor_id: int, changes: Mapping[str, Any], actor: Actor, now: dt.datetime) -> Monitor:
    """Change how a metric is measured and judged, any of EDITABLE; raises Invalid naming the field.

    The next check is due at once; the level follows the next measurements.
    """
    require(actor, "configure")
    monitor = _lock_monitor(monitor_id)
    given = {name: changes[name] for name in EDITABLE if name in changes}
    different = {name: value for name, value in given.items() if value != getattr(monitor, name)}
    if not different:
        return monitor
    judged_by = {name: given.get(name, getattr(monitor, name)) for name in ("source", "thresholds", "policy")}
    _check(monitor.metric, judged_by["source"], judged_by["thresholds"], judged_by["policy"])
    Monitor.objects.filter(pk=monitor.pk).update(version=F("version") + 1, next_check_due_at=now, **different)
    monitor.refresh_from_db()
    if different.get("enabled") is False:
        _note_cleanliness(monitor.service, now)
    _record(monitor, "monitor.edited", f"{_said(different)} of {monitor.metric}", actor, now, list(different))
    return monitor


@transaction.atomic
def remove_monitor(*, monitor_id: int, actor: Actor, now: dt.datetime) -> None:
    """Measure this no more: it is gone for everybody at once, its samples with the next sweeps."""
    require(actor, "configure")
    monitor = _lock_monitor(monitor_id)
    Monitor.objects.filter(pk=monitor.pk).update(enabled=False, removed_at=now, version=F("version") + 1)
    _note_cleanliness(monitor.service, now)
    _record(monitor, "monitor.removed", f"{monitor.metric} is no longer measured", actor, now)


def forget_removed_monitors(*, now: dt.datetime) -> int:
    """Delete what removed monitors measured, up to 100,000 samples at a time, then the monitors.

    Returns how many rows went. One statement over a long history would hold a request for minutes.
    """
    forgotten = 0
    for _batch in range(BATCHES_AT_ONCE):
        monitor = Monitor.with_removed.filter(removed_at__lte=now).order_by("removed_at").first()
        if monitor is None:
            break
        oldest = list(Sample.objects.filter(monitor=monitor).values_list("pk", flat=True)[:SAMPLES_AT_ONCE])
        if oldest:
            forgotten += Sample.objects.filter(pk__in=oldest).delete()[0]
        else:
            forgotten += Monitor.with_removed.filter(pk=monitor.pk).delete()[0]
    return forgotten


@transaction.atomic
def observe(*, monitor_id: int, reading: Reading, now: dt.datetime) -> MonitorLevel:
    """Store one measurement and judge the monitor; a changed level is an event of the service.

    Returns the monitor's level afterwards. A monitor removed meanwhile raises NotFound.
    """
    monitor = _lock_monitor(monitor_id)
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


def _lock_monitor(monitor_id: int) -> Monitor:
    rows = Monitor.objects.select_for_update(of=("self",), no_key=True).select_related("service")
    monitor = rows.filter(pk=monitor_id).first()
    if monitor is None:
        raise NotFound("No such monitor.")
    return monitor


def _said(different: Mapping[str, Any]) -> str:
    if different.keys() == {"enabled"}:
        return "Measuring" if different["enabled"] else "No measuring"
    return f"Changed {', '.join(name.replace('_', ' ') for name in different)}"


def _record(
    monitor: Monitor,
    kind: str,
    summary: str,
    actor: Actor,
    now: dt.datetime,
    fields: list[str] | None = None,
) -> None:
    record_on_service(
        monitor.service,
        kind,
        summary,
        actor=actor,
        now=now,
        data={"monitor": monitor.pk, "metric": monitor.metric, "fields": fields or []},
    )


def _check(metric: str, source: dict[str, Any], thresholds: dict[str, Any] | None, policy_key: str) -> None:
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
    _note_cleanliness(monitor.service, now, but=(monitor.pk, after))
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


def _note_cleanliness(
    service: Service, now: dt.datetime, *, but: tuple[int, MonitorLevel] | None = None
) -> None:
    """A release is clean only while no monitor of its service complains.

    `but` is a monitor whose new level is not in the database yet.
    """
    complaining = Monitor.objects.filter(service=service, enabled=True).exclude(level=MonitorLevel.OK)
    if but is not None:
        complaining = complaining.exclude(pk=but[0])
    clean = (but is None or but[1] is MonitorLevel.OK) and not complaining.exists()
    live_release = Release.objects.filter(service=service, state=ReleaseState.LIVE)
    if but is None:  # nothing was measured: clean since now only where it was not clean before
        live_release = live_release.filter(clean_since__isnull=True)
    live_release.update(clean_since=now if clean else None)
