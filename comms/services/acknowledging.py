"""Acknowledging by the link of a message, without signing in."""

from __future__ import annotations

import datetime as dt

from comms.links import Link
from comms.models import Contact
from comms.selectors.acknowledging import TELLING, actor_by_link, link_state
from core.errors import NotAllowed
from incidents.models import Incident
from incidents.services.incidents import acknowledge_incident


class LinkRefused(NotAllowed):
    """The link is signed, and cannot be used (any more, or by this visitor): `state` says why."""

    code = "link_refused"


def acknowledge_by_link(*, link: Link, visitor: int | None, now: dt.datetime) -> Incident:
    """Acknowledge as the contact whose link it is, with the rights of their account if they have one.

    `visitor` is the account that is signed in where the link was opened. Raises LinkRefused,
    AlreadyAcknowledged, Conflict when the incident is over.
    """
    contact = Contact.objects.select_related("user").filter(pk=link.contact).first()
    incident = Incident.objects.filter(pk=link.incident).first()
    state = link_state(link, contact, incident, visitor=visitor, now=now)
    if state not in TELLING or contact is None:
        raise LinkRefused("This link does not acknowledge.", state=state)
    return acknowledge_incident(incident_id=link.incident, actor=actor_by_link(contact), now=now)
