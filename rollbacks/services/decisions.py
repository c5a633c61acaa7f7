"""The command that lets automation decide about a rollback, with every reason on the timeline."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.actors import AUTOMATION
from incidents import policy as incident_policy
from incidents.models import Incident, Service
from incidents.services.incidents import lock_incident
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.admission import refusals
from rollbacks.selectors.decisions import situation_of
from rollbacks.services.requests import request_rollback
from rollbacks.timeline import record_refusal


@transaction.atomic
def consider_automatic_rollback(
    *, incident_ref: str, service: str, metric: str, effect: str, policy_key: str, cause: str, now: dt.datetime
) -> Rollback | None:
    """Start a rollback, ask for approval of one, or say why not.

    `effect` is the playbook's: "automatic" or "with_approval". Source: seed, Automatic Rollback Triggers.
    """
    subject = Service.objects.select_for_update(no_key=True).filter(slug=service).first()
    incident = Incident.objects.filter(ref=incident_ref).first()
    if subject is None or incident is None or not incident.is_open:
        return None
    reasons = refusals(
        situation_of(subject, metric=metric), now=now, recent_seconds=policy.automation().recent_release
    )
    if reasons:
        lock_incident(incident.pk, AUTOMATION)
        record_refusal(incident, service=subject, reasons=reasons, now=now)
        return None
    return request_rollback(
        incident_id=incident.pk,
        service=service,
        procedure=subject.procedure or incident_policy.thresholds().policies[policy_key].procedure,
        reason=cause,
        actor=AUTOMATION,
        now=now,
        automatic_allowed=effect == "automatic",
    )
