"""Commands on security incidents: their level, and who may know of them at all."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed
from incidents import policy
from incidents.models import Incident
from incidents.rules.response import moved_due
from incidents.selectors.readers import may_open_up, may_restrict
from incidents.services.incidents import lock_incident, must_be_open, refuse_while_held, save_incident
from incidents.services.people import join_quietly
from incidents.states import SECURITY_LEVELS, IncidentKind
from incidents.timeline import record_on_incident


class OpeningUpRefused(NotAllowed):
    """Only who may be security lead, or an administrator, in person, makes a secret known."""

    code = "opening_up_refused"


@transaction.atomic
def set_security_level(
    *, incident_id: int, level: int, reason: str, actor: Actor, now: dt.datetime
) -> Incident:
    """Classify as a security incident of level 1 to 3, or raise or lower the level.

    The response clock follows as with a severity: raised, it is due at the earlier of the old time and
    change + new target; lowered, at the later. What was no security incident becomes one, and restricted;
    whoever says so stays on it. Raises Invalid, Conflict for the level that it has, IncidentHeld when
    something runs that was judged as another kind.
    Source: seed, Security Incident Classification; rulings, Thresholds and severities.
    """
    if not actor.is_machine:
        require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    must_be_open(incident)
    if level not in SECURITY_LEVELS:
        raise Invalid({"level": "Must be 1, 2 or 3."})
    if not reason.strip():
        raise Invalid({"reason": "Say why it is of this level."})
    old = incident.security_level
    if old == level:
        raise Conflict(f"{incident.ref} is a level {level} incident already.", state=incident.status)
    was_security = incident.kind == IncidentKind.SECURITY
    if not was_security:
        refuse_while_held(incident, "become a security incident")
        incident.kind = IncidentKind.SECURITY
        incident.restricted = True
        join_quietly(incident, actor=actor, now=now)
    raised = old is None or level < old
    incident.security_level = level
    incident.response_due_at = moved_due(
        due=incident.response_due_at,
        changed_at=now,
        raised=raised,
        new_seconds=policy.response_target_seconds(incident.severity, level),
    )
    save_incident(incident, "kind", "restricted", "security_level", "response_due_at")
    record_on_incident(
        incident,
        "incident.security_level_changed",
        f"Security level {old or 'not set'} → {level}: {reason}",
        actor=actor,
        now=now,
        data={
            "level_before": old,
            "level": level,
            "reason": reason,
            "raised": raised,
            "classified": not was_security,
            "restricted": incident.restricted,
        },
    )
    return incident


@transaction.atomic
def restrict_incident(*, incident_id: int, reason: str, actor: Actor, now: dt.datetime) -> Incident:
    """From now on it is need-to-know: a code name to everybody else. Whoever restricts it stays on it.

    Needs the account level commander, or a role on the incident or the grant to be security lead.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if not may_restrict(actor, incident):
        require(actor, "command")
    if not reason.strip():
        raise Invalid({"reason": "Say why only few may know."})
    if incident.restricted:
        raise Conflict(f"{incident.ref} is restricted already.", state=incident.status)
    incident.restricted = True
    join_quietly(incident, actor=actor, now=now)
    save_incident(incident, "restricted")
    record_on_incident(
        incident,
        "incident.restricted",
        f"Restricted to those who need to know: {reason}",
        actor=actor,
        now=now,
        data={"reason": reason},
    )
    return incident


@transaction.atomic
def unrestrict_incident(*, incident_id: int, reason: str, actor: Actor, now: dt.datetime) -> Incident:
    """Everybody who reads incidents reads this one again, with all that was written meanwhile.

    Raises OpeningUpRefused for everybody but accounts that may be security lead and administrators, in
    person: what was secret cannot be made secret again.
    """
    require(actor, "read")
    incident = lock_incident(incident_id, actor)
    if not may_open_up(actor):
        raise OpeningUpRefused(
            "Only an account that may be security lead, or an administrator, opens it up, and never a token."
        )
    if not reason.strip():
        raise Invalid({"reason": "Say why everybody may know now."})
    if not incident.restricted:
        raise Conflict(f"{incident.ref} is not restricted.", state=incident.status)
    incident.restricted = False
    save_incident(incident, "restricted")
    record_on_incident(
        incident,
        "incident.unrestricted",
        f"Opened up to everybody who reads incidents: {reason}",
        actor=actor,
        now=now,
        data={"reason": reason},
    )
    return incident
