"""Commands on monitors: create, change and remove one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
from pydantic import ValidationError

from core.access import require
from core.actors import Actor
from core.errors import Invalid, NotFound
from incidents import policy
from incidents.models import Monitor, Sample, Service
from incidents.playbook import Limits
from incidents.services.cleanliness import note_cleanliness
from incidents.sources import SOURCES
from incidents.states import Metric, OnMonitoringFailure, metric_name
from incidents.timeline import record_on_service

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
    on_monitoring_failure: str = OnMonitoringFailure.CORROBORATED,
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
        f"{metric_name(metric)} is measured every {interval_seconds} s",
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
    # What was silent while nobody asked, or elsewhere, is not silent yet.
    anew = {"answered_at": now} if "source" in different or different.get("enabled") else {}
    Monitor.objects.filter(pk=monitor.pk).update(
        version=F("version") + 1, next_check_due_at=now, **different, **anew
    )
    monitor.refresh_from_db()
    if different.get("enabled") is False:
        note_cleanliness(monitor.service, now)
    _record(
        monitor,
        "monitor.edited",
        f"{_said(different)} of {metric_name(monitor.metric)}",
        actor,
        now,
        list(different),
    )
    return monitor


@transaction.atomic
def remove_monitor(*, monitor_id: int, actor: Actor, now: dt.datetime) -> None:
    """Measure this no more: it is gone for everybody at once, its samples with the next sweeps."""
    require(actor, "configure")
    monitor = _lock_monitor(monitor_id)
    Monitor.objects.filter(pk=monitor.pk).update(enabled=False, removed_at=now, version=F("version") + 1)
    note_cleanliness(monitor.service, now)
    _record(monitor, "monitor.removed", f"{metric_name(monitor.metric)} is no longer measured", actor, now)


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
        wrong |= SOURCES[kind].check(source)
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
