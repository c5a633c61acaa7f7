"""The command that lets automation decide about a rollback, with every reason on the timeline."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.actors import AUTOMATION
from incidents import policy as incident_policy
from incidents.models import Incident, Monitor, Release, Service
from incidents.services.incidents import lock_incident
from incidents.states import MonitorLevel, ReleaseState
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.admission import refusals
from rollbacks.selectors.decisions import situation_of
from rollbacks.services.requests import request_rollback
from rollbacks.timeline import record_refusal


@transaction.atomic
def consider_automatic_rollback(
    *,
    incident_ref: str,
    service: str,
    metric: str,
    effect: str,
    policy_key: str,
    cause: str,
    now: dt.datetime,
) -> Rollback | None:
    """Start a rollback, ask for approval of one, or say why not.

    `effect` is the playbook's: "automatic" or "with_approval". Source: seed, Automatic Rollback Triggers.
    """
    subject = Service.objects.select_for_update(no_key=True).filter(slug=service).first()
    incident = Incident.objects.filter(ref=incident_ref).first()
    if subject is None or incident is None or not incident.is_open:
        return None
    procedure = subject.procedure or incident_policy.thresholds().policies[policy_key].procedure
    reasons = refusals(
        situation_of(subject, metric=metric, kind=incident.kind, procedure=procedure),
        now=now,
        recent_seconds=policy.automation().recent_release,
    )
    if reasons:
        lock_incident(incident.pk, AUTOMATION)
        record_refusal(incident, service=subject, reasons=reasons, now=now)
        return None
    return request_rollback(
        incident_id=incident.pk,
        service=service,
        procedure=procedure,
        reason=cause,
        actor=AUTOMATION,
        now=now,
        automatic_allowed=effect == "automatic",
    )


@transaction.atomic
def reconsider_after_release(*, service: str, version: str, now: dt.datetime) -> Rollback | None:
    """A pipeline recorded a release after its damage was seen: decide again, knowing it.

    Only for a release deployed before the breach began: a fix deployed during the incident must not
    be taken back because of measurements from before it.
    """
    release = Release.objects.filter(service__slug=service, version=version, state=ReleaseState.LIVE).first()
    incident = Incident.objects.open().filter(origin__slug=service).first()
    if release is None or incident is None:
        return None
    effects = incident_policy.thresholds().effects
    breaching = Monitor.objects.filter(
        service__slug=service, enabled=True, level_since__gte=release.deployed_at
    )
    worst = (
        breaching.filter(level=MonitorLevel.CRITICAL).first()
        or breaching.filter(level=MonitorLevel.HIGH).first()
    )
    if worst is None or effects[MonitorLevel(worst.level)].rollback == "none":
        return None
    return consider_automatic_rollback(
        incident_ref=incident.ref,
        service=service,
        metric=worst.metric,
        effect=effects[MonitorLevel(worst.level)].rollback,
        policy_key=worst.policy,
        cause=f"{worst.metric} is {worst.level} since {version} was deployed",
        now=now,
    )
