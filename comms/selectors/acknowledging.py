"""Who opens the link of a message, what they may do by it, and what they are shown."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass

from comms.links import Link
from comms.models import Contact
from comms.selectors.need_to_know import may_see
from core.access import may
from core.actors import Actor, ActorKind, Level
from core.models import Event
from incidents import policy
from incidents.models import Incident
from incidents.states import IncidentStatus


class LinkState(enum.StrEnum):
    """What somebody who opens a link finds. Only the first can acknowledge."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    OVER = "over"  # resolved or closed
    EXPIRED = "expired"
    INACTIVE = "inactive"  # the contact or the account was taken out of use
    NOT_YOURS = "not_yours"
    NOT_ALLOWED = "not_allowed"


@dataclass(frozen=True)
class Asked:
    """The page of a link. What a restricted incident is called stands in no page that needs no sign-in."""

    state: LinkState
    name: str = ""
    ref: str = ""
    title: str = ""
    severity: str = ""
    severity_name: str = ""
    status: str = ""
    drill: bool = False
    declared_at: dt.datetime | None = None
    response_due_at: dt.datetime | None = None
    acknowledged_at: dt.datetime | None = None
    acknowledged_by: str = ""
    url: str = ""


TELLING = (LinkState.OPEN, LinkState.ACKNOWLEDGED, LinkState.OVER)


def look_at_link(link: Link, *, visitor: int | None, now: dt.datetime) -> Asked:
    """What a signed link shows to whoever opens it (`visitor`: the account that is signed in)."""
    contact = Contact.objects.select_related("user").filter(pk=link.contact).first()
    incident = Incident.objects.filter(pk=link.incident).first()
    state = link_state(link, contact, incident, visitor=visitor, now=now)
    if state not in TELLING or contact is None or incident is None:
        return Asked(state)
    return Asked(
        state=state,
        name=contact.name,
        ref=incident.code_name if incident.restricted else incident.ref,
        title="" if incident.restricted else incident.title,
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        status=str(IncidentStatus(incident.status).label),
        drill=incident.drill,
        declared_at=incident.declared_at,
        response_due_at=incident.response_due_at,
        acknowledged_at=incident.acknowledged_at,
        acknowledged_by=_who_acknowledged(incident) if incident.acknowledged_at else "",
        url=f"/incidents/{incident.ref}/",
    )


def link_state(
    link: Link, contact: Contact | None, incident: Incident | None, *, visitor: int | None, now: dt.datetime
) -> LinkState:
    """What the link is good for. Signed in, one acts as oneself: a link of somebody else's is theirs."""
    if link.until <= now:
        return LinkState.EXPIRED
    if contact is None or incident is None or not contact.active:
        return LinkState.INACTIVE
    if contact.user is not None and not contact.user.is_active:
        return LinkState.INACTIVE
    if visitor is not None and visitor != contact.user_id:
        return LinkState.NOT_YOURS
    # Who has no account was told of it, and sees no more here than its code name said.
    sees = contact.user is None or may_see(contact.user, incident)
    if not (may(actor_by_link(contact), "acknowledge") and sees):
        return LinkState.NOT_ALLOWED
    if not incident.is_open:
        return LinkState.OVER
    return LinkState.OPEN if incident.acknowledged_at is None else LinkState.ACKNOWLEDGED


def actor_by_link(contact: Contact) -> Actor:
    """The contact as an actor that may only acknowledge."""
    user = contact.user
    return Actor(
        ActorKind.CONTACT,
        f"{contact.name}, by link",
        user.level if user else Level.NONE,
        user_id=user.pk if user else None,
    )


def _who_acknowledged(incident: Incident) -> str:
    events = Event.objects.filter(stream_id=incident.stream_id, kind="incident.acknowledged")
    return events.order_by("seq").values_list("actor", flat=True).first() or ""
