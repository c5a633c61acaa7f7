"""Commands about monitoring that fails: one incident for an outage of all of it, and what follows for one."""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction

from core.actors import SYSTEM
from incidents import policy
from incidents.models import Incident, Monitor, MonitoringOutage
from incidents.rules.blindness import is_outage, is_outage_over
from incidents.selectors.outages import blind_services, current_outage
from incidents.services import incidents as commands
from incidents.states import MonitorLevel
from incidents.timeline import record_on_incident


def outage_for(monitor: Monitor, *, cause: str, now: dt.datetime) -> Incident | None:
    """The outage's incident when so many services are blind that it is one; opens it where there is none."""
    outage = current_outage()
    if outage is not None:
        return _tell(outage, monitor, cause, now)
    rules = policy.thresholds().blindness
    blind, watched = blind_services()
    if not is_outage(blind=blind, watched=watched, rules=rules):
        return None
    _lock()
    outage = current_outage() or _open(blind, watched, now)
    return _tell(outage, monitor, cause, now)


def _lock() -> None:
    """One at a time begins or ends an outage; taken after a service's lock, never before one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('monitoring outage', 0))")


def _open(blind: int, watched: int, now: dt.datetime) -> MonitoringOutage:
    effect = policy.thresholds().effects[MonitorLevel.UNKNOWN]
    incident = commands.declare_incident(
        actor=SYSTEM,
        now=now,
        title=f"Monitoring outage: {blind} of {watched} services cannot be measured",
        severity=effect.severity,
        description="So many services without an answer at once mean that what watches them fails, or the way"
        " to it. No rollback starts by itself until it is over.",
        services=[],
    )
    return MonitoringOutage.objects.create(incident=incident, began_at=now)


def _tell(outage: MonitoringOutage, monitor: Monitor, cause: str, now: dt.datetime) -> Incident:
    incident = outage.incident
    record_on_incident(
        incident,
        "incident.service_blind",
        f"{monitor.service.name}: {cause}",
        actor=SYSTEM,
        now=now,
        source="monitor",
        data={"service": monitor.service.slug, "monitor": monitor.pk, "metric": monitor.metric},
    )
    return incident


@transaction.atomic
def end_outage(*, now: dt.datetime) -> int:
    """End the outage once most of the services can be measured again; returns 1 then.

    The incident stays for people to resolve.
    """
    if current_outage() is None:
        return 0
    blind, watched = blind_services()
    if not is_outage_over(blind=blind, watched=watched, rules=policy.thresholds().blindness):
        return 0
    _lock()
    outage = current_outage()
    if outage is None:
        return 0
    outage.ended_at = now
    outage.save(update_fields=["ended_at"])
    record_on_incident(
        outage.incident,
        "incident.monitoring_recovered",
        f"Monitoring answers again: {watched - blind} of {watched} services can be measured",
        actor=SYSTEM,
        now=now,
        source="monitor",
    )
    return 1
