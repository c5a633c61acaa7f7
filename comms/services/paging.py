"""The command that pages people for a role that nobody holds."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from comms.selectors.recipients import MAY_HOLD
from comms.selectors.roles import last_page, people_for_role
from comms.services.composing import NobodyToTell
from comms.services.messages import has_route
from comms.states import ROLE_PAGED
from comms.timeline import record_role_paged
from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid
from incidents.models import Incident
from incidents.services.incidents import lock_incident
from incidents.states import INCIDENT_ROLES, Role


class PagedJustNow(Conflict):
    """These people were paged for this role a moment ago, and are given time to answer."""

    code = "paged_just_now"


@transaction.atomic
def page_for_role(
    *, incident_id: int, role: str, actor: Actor, now: dt.datetime, reason: str = ""
) -> tuple[str, ...]:
    """Page everybody who may hold the role; returns their names.

    Raises Conflict when somebody holds it, the incident is over, or the playbook routes no such page,
    PagedJustNow within PAUSE of the last one, NobodyToTell, Invalid.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if role not in INCIDENT_ROLES:
        raise Invalid({"role": f"Must be one of {', '.join(INCIDENT_ROLES)}."})
    label = str(Role(role).label)
    if not incident.is_open:
        raise Conflict(f"{incident.ref} is {incident.status}; reopen it first.", state=incident.status)
    _must_be_a_gap(incident, role, label)
    if not has_route(ROLE_PAGED):
        raise Conflict(f"The playbook's routing has no row for {ROLE_PAGED}, so nobody would be reached.")
    if before := last_page(incident, role, now=now):
        raise PagedJustNow(
            f"{label}: paged at {before:%H:%M:%S} UTC; they are given a few minutes to answer.",
            state=incident.status,
        )
    names = tuple(person.name for person in people_for_role(role, incident, now=now))
    if not names:
        raise NobodyToTell(f"Nobody who may be {label} can be reached: give a contact the role.")
    record_role_paged(
        incident, role=role, to=[f"{MAY_HOLD}{role}"], names=names, reason=reason, actor=actor, now=now
    )
    return names


def _must_be_a_gap(incident: Incident, role: str, label: str) -> None:
    holder = incident.responders.filter(role=role, until__isnull=True).select_related("user").first()
    if holder is not None:
        raise Conflict(f"{holder.user} is {label}; nobody is paged for it.", state=incident.status)
