"""What this app shows on the pages of the apps to its left."""

from __future__ import annotations

from django.urls import reverse

from comms.selectors.content import bridge_of
from comms.selectors.escalation import next_page
from comms.selectors.public_facts import may_be_public
from comms.selectors.told import list_told
from core.access import may
from core.actors import Actor
from core.clock import utcnow
from incidents.models import Incident
from incidents.panels import Panel
from incidents.selectors.cards import incident_url


def who_was_told(actor: Actor, incident: Incident) -> Panel:
    """Who has been told, who is paged next, where people meet, and when the next update is due."""
    return Panel(
        key="who_was_told",
        template="comms/panel_told.html",
        topics=f"incident:{incident.ref}",
        url=incident_url(incident.ref),
        context={
            "messages": list_told(incident),
            "next_page": next_page(incident, now=utcnow()),
            "bridge": bridge_of(incident) if incident.is_open else "",
            "next_update_due_at": incident.next_update_due_at if incident.is_open else None,
            "compose_url": reverse("comms:compose", args=[incident.ref]) if may(actor, "respond") else None,
            "for_users": may_be_public(incident),
        },
    )
