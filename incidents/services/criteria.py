"""The command that checks an incident against the criteria for a rollback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid
from incidents import policy
from incidents.rules.criteria import CHECKED, Recommendation, contradicted, recommend, unknown
from incidents.services.incidents import lock_incident
from incidents.timeline import record_on_incident


@transaction.atomic
def check_criteria(
    *,
    incident_id: int,
    criteria: Sequence[str],
    actor: Actor,
    now: dt.datetime,
    degradation_percent: int | None = None,
) -> Recommendation:
    """What the playbook recommends for what is the case; it stands on the timeline as a decision.

    Nothing is started by it. Raises Invalid for an unknown criterion and for a ticked degradation
    that the measured one contradicts, Conflict when the incident is not open.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if not incident.is_open:
        raise Conflict(f"{incident.ref} is {incident.status}; reopen it first.", state=incident.status)
    known = policy.criteria()
    if wrong := unknown(known, criteria):
        raise Invalid({"criteria": f"No such criterion: {', '.join(wrong)[:200]}"})
    if wrong := contradicted(known, criteria, degradation_percent):
        raise Invalid({"criteria": f"Not met by {degradation_percent} %: {', '.join(wrong)}"})
    found = recommend(known, criteria, degradation_percent)
    record_on_incident(
        incident,
        CHECKED,
        f"Criteria checked: {found.text}",
        actor=actor,
        now=now,
        data={
            "recommendation": found.recommendation,
            "matched": list(found.matched),
            "degradation_percent": degradation_percent,
            "text": found.text,
        },
    )
    return found
