"""What this app shows on the pages of the apps to its left."""

from __future__ import annotations

import datetime as dt

from django.urls import reverse

from comms.selectors.content import bridge_of
from comms.selectors.escalation import next_page
from comms.selectors.public_facts import may_be_public
from comms.selectors.roles import last_pages
from comms.selectors.told import list_told
from comms.services.external import why_not_approve
from core.access import may
from core.actors import Actor
from core.clock import utcnow
from incidents.models import Incident
from incidents.panels import Panel
from incidents.selectors.actions import Action, why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.states import INCIDENT_ROLES, Role


def who_was_told(actor: Actor, incident: Incident) -> Panel:
    """Who has been told, who is paged next, where people meet, and when the next update is due."""
    messages = list_told(incident)
    return Panel(
        key="who_was_told",
        template="comms/panel_told.html",
        topics=f"incident:{incident.ref}",
        url=incident_url(incident.ref),
        context={
            "messages": messages,
            "why_not_approve": _why_not_approve(actor, incident) if any(m.is_draft for m in messages) else "",
            "next_page": next_page(incident, now=utcnow()),
            "bridge": bridge_of(incident) if incident.is_open else "",
            "next_update_due_at": incident.next_update_due_at if incident.is_open else None,
            "compose_url": reverse("comms:compose", args=[incident.ref]) if may(actor, "respond") else None,
            "for_users": may_be_public(incident),
        },
    )


def _why_not_approve(actor: Actor, incident: Incident) -> str:
    return why_not_allowed(actor, "respond") or why_not_approve(incident, actor)


def calls(actor: Actor, incident: Incident) -> dict[str, Action]:
    """Paging for each role; the page of an incident offers it where nobody holds the role (one query)."""
    if not incident.is_open:
        return {}
    paged, refusal = last_pages(incident, now=utcnow()), why_not_allowed(actor, "respond")
    return {role: _call(incident, role, refusal, paged.get(role)) for role in INCIDENT_ROLES}


def _call(incident: Incident, role: Role, refusal: str, paged_at: dt.datetime | None) -> Action:
    waits = f"Paged at {paged_at:%H:%M} UTC; they are given a few minutes to answer." if paged_at else ""
    return Action(
        key=f"page-{role}",
        label="Page…",
        icon="phone",
        url=reverse("comms:page_for_role", args=[incident.ref, role]),
        enabled=not (refusal or waits),
        why_not=refusal or waits,
    )
