"""What a monitor's new level does: open an incident, or join the one that is open."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from django.db import transaction

from core.actors import SYSTEM
from incidents import policy
from incidents.models import Incident, Monitor, Service
from incidents.rules.blindness import Answer, answer_to
from incidents.selectors.outages import blind_of, current_outage, still_blind
from incidents.selectors.quiet import maintenance_of
from incidents.services import incidents as commands
from incidents.services.outages import outage_for
from incidents.states import (
    OPEN_STATUSES,
    IncidentKind,
    IncidentStatus,
    Metric,
    MonitorLevel,
    Severity,
    metric_name,
)
from incidents.timeline import record_on_incident

AT_ONCE = 200


@dataclass(frozen=True)
class _Breach:
    """A monitor that became bad, and what it saw."""

    monitor: Monitor
    level: MonitorLevel
    seen: str
    event_id: int | None
    at: str | None = None
    catastrophic: bool = False
    blindness: Answer | None = None

    @property
    def rollback(self) -> str:
        """The level's effect; without an answer the monitor's own way counts."""
        if self.blindness is not None:
            return self.blindness.rollback
        return policy.thresholds().effects[self.level].rollback

    @property
    def cause(self) -> str:
        """What was seen, and why nothing or something follows where that is not plain."""
        if self.blindness is None:
            return self.seen
        said = {"automatic": "rollback", "with_approval": "rollback to approve", "none": "no rollback"}
        return f"{self.seen}; {said[self.blindness.rollback]}: {self.blindness.reason}"


@transaction.atomic
def answer_level_change(
    *,
    monitor_id: int,
    level: str,
    cause: str,
    event_id: int,
    now: dt.datetime,
    at: str | None = None,
    catastrophic: bool = False,
) -> Incident | None:
    """Open the service's incident for a monitor that became bad, or tell its open incident.

    The severity is the playbook's effect of the level; an open incident is only ever raised. `at` and
    `catastrophic` are of the measurement that made the level: whoever rolls back wants to know.
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
    breach = _Breach(monitor, _escalated(service, MonitorLevel(level)), cause, event_id, at, catastrophic)
    if _is_held_back(service, monitor, breach.level, now):
        return None
    if breach.level is MonitorLevel.UNKNOWN:
        outage = outage_for(monitor, cause=cause, now=now)
        if outage is not None:
            return outage
        breach = _answered(breach, now)
    if incident is None:
        return _open(service, breach, now)
    return _join(incident, breach, now)


def answer_blindness(*, now: dt.datetime) -> int:
    """Look again at monitors that still cannot be measured: evidence may have come, or time have passed.

    Returns how many rollbacks were called for.
    """
    if current_outage() is not None:
        return 0
    return sum(_look_again(monitor_id, now) for monitor_id in still_blind(now=now, limit=AT_ONCE))


@transaction.atomic
def _look_again(monitor_id: int, now: dt.datetime) -> bool:
    monitor = Monitor.objects.select_related("service").filter(pk=monitor_id, enabled=True).first()
    if monitor is None:
        return False
    service = Service.objects.select_for_update(no_key=True).get(pk=monitor.service_id)
    monitor.refresh_from_db()
    incident = (
        Incident.objects.select_for_update(of=("self",), no_key=True)
        .filter(status__in=OPEN_STATUSES, origin=service)
        .first()
    )
    if incident is None or monitor.level != MonitorLevel.UNKNOWN:
        return False
    cause = f"{metric_name(monitor.metric)} cannot be measured: {monitor.last_error}"
    breach = _answered(_Breach(monitor, MonitorLevel.UNKNOWN, cause, None), now)
    if breach.rollback == "none":
        return False
    _record_breach(incident, breach, now)
    return True


def _answered(breach: _Breach, now: dt.datetime) -> _Breach:
    """What a missing answer means for a rollback, noted on the monitor once it is settled."""
    answer = answer_to(blind_of(breach.monitor, now=now), policy.thresholds().blindness)
    if answer.final:
        Monitor.objects.filter(pk=breach.monitor.pk).update(blindness_answered_at=now)
    return replace(breach, blindness=answer)


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


def _open(service: Service, breach: _Breach, now: dt.datetime) -> Incident:
    monitor, effect = breach.monitor, policy.thresholds().effects[breach.level]
    kind = IncidentKind.PERFORMANCE if monitor.policy == "performance" else IncidentKind.OPERATIONAL
    incident = commands.declare_incident(
        actor=SYSTEM,
        now=now,
        title=f"{service.name}: {breach.seen}"[:200],
        severity=effect.severity,
        kind=kind,
        services=[service.slug],
        origin=service,
        description=f"Opened by the monitor of {metric_name(monitor.metric)} on {service}.",
        started_at=monitor.level_since or now,
    )
    return _record_breach(incident, breach, now)


def _join(incident: Incident, breach: _Breach, now: dt.datetime) -> Incident:
    worsen_incident(incident, policy.thresholds().effects[breach.level].severity, breach.seen, now)
    return _record_breach(incident, breach, now)


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


def _record_breach(incident: Incident, breach: _Breach, now: dt.datetime) -> Incident:
    monitor = breach.monitor
    record_on_incident(
        incident,
        "incident.breached",
        f"{monitor.service.name}: {breach.cause}",
        actor=SYSTEM,
        now=now,
        source="monitor",
        data={
            "service": monitor.service.slug,
            "monitor": monitor.pk,
            "metric": monitor.metric,
            "level": breach.level,
            "rollback": breach.rollback,
            "policy": monitor.policy,
            "cause_event": breach.event_id,
            "at": breach.at,
            "catastrophic": breach.catastrophic,
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
