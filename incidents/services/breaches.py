"""What a monitor's new level does: open an incident, or join the one that is open."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.actors import SYSTEM
from incidents import policy
from incidents.models import Incident, Monitor, Service
from incidents.selectors.quiet import maintenance_of
from incidents.services import incidents as commands
from incidents.states import OPEN_STATUSES, IncidentKind, IncidentStatus, Metric, MonitorLevel, Severity
from incidents.timeline import record_on_incident


@transaction.atomic
def answer_level_change(
    *, monitor_id: int, level: str, cause: str, event_id: int, now: dt.datetime
) -> Incident | None:
    """Open the service's incident for a monitor that became bad, or tell its open incident.

    The severity is the playbook's effect of the level; an open incident is only ever raised.
    Returns the incident, or None when there is nothing to open or tell.
    """
    monitor = Monitor.objects.select_related("service").filter(pk=monitor_id).first()
    if monitor is None:
        return None
    service = Service.objects.select_for_update(no_key=True).get(pk=monitor.service_id)
    incident = (
        Incident.objects.select_for_update(of=("self",), no_key=True)
        .filter(status__in=OPEN_STATUSES, origin=service)
        .first()
    )
    if level == MonitorLevel.OK:
        return _tell_recovery(incident, monitor, cause, now)
    level = _escalated(service, MonitorLevel(level))
    if _is_held_back(service, monitor, level, now):
        return None
    if incident is None:
        return _open(service, monitor, level, cause, event_id, now)
    return _join(incident, monitor, level, cause, event_id, now)


def _escalated(service: Service, level: MonitorLevel) -> MonitorLevel:
    """Three warnings at once on distinct metrics are critical performance (rulings, Thresholds)."""
    if level is not MonitorLevel.WARNING:
        return level
    metrics = (
        service.monitors.filter(level=MonitorLevel.WARNING, enabled=True).values("metric").distinct().count()
    )
    return MonitorLevel.CRITICAL if metrics >= policy.thresholds().warnings_that_make_critical else level


def _is_held_back(service: Service, monitor: Monitor, level: MonitorLevel, now: dt.datetime) -> bool:
    """In a maintenance window nothing is opened: services.quiet asks again when it ends.

    Not so security events of the highest severity: an attack does not wait for the work to be done.
    """
    if maintenance_of(service.pk, now=now) is None:
        return False
    is_worst = policy.thresholds().effects[level].severity == Severity.P0
    return not (monitor.metric == Metric.SECURITY_EVENTS and is_worst)


def _open(
    service: Service,
    monitor: Monitor,
    level: MonitorLevel,
    cause: str,
    event_id: int,
    now: dt.datetime,
) -> Incident:
    effect = policy.thresholds().effects[level]
    kind = IncidentKind.PERFORMANCE if monitor.policy == "performance" else IncidentKind.OPERATIONAL
    incident = commands.declare_incident(
        actor=SYSTEM,
        now=now,
        title=f"{service.name}: {cause}"[:200],
        severity=effect.severity,
        kind=kind,
        services=[service.slug],
        origin=service,
        description=f"Opened by the monitor of {monitor.metric} on {service}.",
        started_at=monitor.level_since or now,
    )
    return _record_breach(incident, monitor, level, cause, event_id, now)


def _join(
    incident: Incident,
    monitor: Monitor,
    level: MonitorLevel,
    cause: str,
    event_id: int,
    now: dt.datetime,
) -> Incident:
    worsen_incident(incident, policy.thresholds().effects[level].severity, cause, now)
    return _record_breach(incident, monitor, level, cause, event_id, now)


def worsen_incident(incident: Incident, severity: str, cause: str, now: dt.datetime) -> None:
    """Something more is wrong with a locked, open incident: its severity only rises, calm is over."""
    if Severity(severity).rank < Severity(incident.severity).rank:
        commands.change_severity(
            incident_id=incident.pk, severity=severity, reason=cause, actor=SYSTEM, now=now
        )
        incident.refresh_from_db()
    if incident.status == IncidentStatus.MONITORING:
        commands.follow_rollback(
            incident_id=incident.pk,
            to=IncidentStatus.INVESTIGATING,
            summary=f"Relapse: {cause}",
            actor=SYSTEM,
            now=now,
        )
        incident.refresh_from_db()


def _record_breach(
    incident: Incident,
    monitor: Monitor,
    level: MonitorLevel,
    cause: str,
    event_id: int,
    now: dt.datetime,
) -> Incident:
    record_on_incident(
        incident,
        "incident.breached",
        f"{monitor.service.name}: {cause}",
        actor=SYSTEM,
        now=now,
        source="monitor",
        data={
            "service": monitor.service.slug,
            "monitor": monitor.pk,
            "metric": monitor.metric,
            "level": level,
            "rollback": policy.thresholds().effects[level].rollback,
            "policy": monitor.policy,
            "cause_event": event_id,
        },
    )
    return incident


def _tell_recovery(
    incident: Incident | None, monitor: Monitor, cause: str, now: dt.datetime
) -> Incident | None:
    if incident is not None:
        record_on_incident(
            incident,
            "incident.metric_recovered",
            f"{monitor.service.name}: {cause}",
            actor=SYSTEM,
            now=now,
            source="monitor",
            data={"service": monitor.service.slug, "monitor": monitor.pk, "metric": monitor.metric},
        )
    return incident
