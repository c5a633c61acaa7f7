"""The command that asks for more people: an incident is escalated to an audience."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid
from incidents.models import Incident
from incidents.services.incidents import lock_incident, save_incident
from incidents.states import AUDIENCES, audience_label
from incidents.timeline import record_on_incident

DEFAULT_AUDIENCE = "management"


class AlreadyEscalated(Conflict):
    """It is escalated to these people already; an update tells them more."""

    code = "already_escalated"


@transaction.atomic
def escalate_incident(
    *, incident_id: int, reason: str, actor: Actor, now: dt.datetime, to: str = DEFAULT_AUDIENCE
) -> Incident:
    """Ask for more people: `to` is an audience of the playbook, told by its routing.

    The incident stays escalated until it is reopened after its end. Raises AlreadyEscalated for the
    audience that it is escalated to, Conflict when the incident is not open, Invalid.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if not reason.strip():
        raise Invalid({"reason": "Say why more people are needed."})
    if to not in AUDIENCES:
        raise Invalid({"to": f"Must be one of {', '.join(AUDIENCES)}."})
    if not incident.is_open:
        raise Conflict(f"{incident.ref} is {incident.status}; reopen it first.", state=incident.status)
    if incident.escalated_to == to:
        raise AlreadyEscalated(
            f"{incident.ref} is escalated to {audience_label(to)} already; post an update to tell them more.",
            state=incident.status,
        )
    incident.escalated_at, incident.escalated_to = now, to
    save_incident(incident, "escalated_at", "escalated_to")
    record_on_incident(
        incident,
        "incident.escalated",
        f"Escalated to {audience_label(to)}: {reason}",
        actor=actor,
        now=now,
        data={"to": to, "reason": reason},
    )
    return incident
