"""The command that turns an event into messages and their deliveries."""

from __future__ import annotations

import datetime as dt
from typing import cast

from django.db import transaction
from django.template.loader import render_to_string

from comms.models import Contact, Delivery, Message
from comms.playbook import Channels, Route, Routing
from comms.rules.routing import audiences_of, matching_routes
from comms.selectors.content import MessageFacts, facts_for
from comms.states import MessageState, Template
from core import hints
from core.models import Event
from core.playbook import get_playbook
from incidents import policy
from incidents.models import Incident, Responder
from rollbacks.models import Rollback

EVERYONE = "everyone"
DRILL = "*** DRILL - this is an exercise ***"


@transaction.atomic
def queue_messages(*, event: Event, now: dt.datetime) -> list[Message]:
    """Queue what the routing asks for about this event; an event already routed queues nothing."""
    routing = cast(Routing, get_playbook()["routing"])
    routes = matching_routes(routing.routes, kind=event.kind, data=event.data)
    if not routes:
        return []
    incident = Incident.objects.filter(ref=event.data.get("incident", "")).first()
    rollback = (
        Rollback.objects.select_related("service", "incident")
        .filter(ref=event.data.get("rollback", ""))
        .first()
    )
    facts = facts_for(event, incident, rollback)
    queued = [_queue(route, event, incident, rollback, facts, now) for route in routes]
    hints.wake("comms.sweep_deliveries")
    return [message for message in queued if message is not None]


def _queue(
    route: Route,
    event: Event,
    incident: Incident | None,
    rollback: Rollback | None,
    facts: MessageFacts,
    now: dt.datetime,
) -> Message | None:
    own = policy.severity_level(incident.severity).audiences if incident else ()
    audiences = audiences_of(route, own, event.data.get("to"))
    message, created = Message.objects.get_or_create(
        event=event,
        template=route.template,
        defaults={
            "incident": incident,
            "rollback_ref": rollback.ref if rollback else "",
            "audiences": list(audiences),
            "subject": _subject(route.template, facts),
            "body": _body(route.template, facts),
            "created_at": now,
        },
    )
    if not created:
        return None
    deliveries = [
        Delivery(message=message, event=event, channel=channel, recipient=recipient, due_at=now)
        for channel, recipient in _recipients(route, audiences, incident)
    ]
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    if not deliveries:
        message.state, message.finished_at = MessageState.FAILED, now
        message.save(update_fields=["state", "finished_at"])
    return message


def _subject(template: Template, facts: MessageFacts) -> str:
    rendered = render_to_string(f"comms/messages/{template}.subject.txt", {"facts": facts})
    subject = " ".join(rendered.split())
    return (f"DRILL · {subject}" if facts.drill else subject)[:300]


def _body(template: Template, facts: MessageFacts) -> str:
    """Every message of a drill says so first, whatever its template."""
    rendered = render_to_string(f"comms/messages/{template}.txt", {"facts": facts}).strip() + "\n"
    return f"{DRILL}\n\n{rendered}" if facts.drill else rendered


def _recipients(route: Route, audiences: tuple[str, ...], incident: Incident | None) -> list[tuple[str, str]]:
    """(channel, recipient) pairs: each contact's address once, or the channel once, as its kind has it."""
    channels = cast(Channels, get_playbook()["channels"]).root
    found: list[tuple[str, str]] = []
    for key in route.channels:
        if channels[key].one_per_contact:
            found += [(key, address) for address in _addresses(audiences, incident)]
        else:
            found.append((key, channels[key].kind))
    return list(dict.fromkeys(found))


def _addresses(audiences: tuple[str, ...], incident: Incident | None) -> list[str]:
    contacts = Contact.objects.filter(active=True).exclude(email="").exclude(kind="external")
    if EVERYONE not in audiences:
        contacts = contacts.filter(audiences__overlap=list(audiences))
    addresses = [email.lower() for email in contacts.values_list("email", flat=True)]
    if "role_holders" in audiences and incident is not None:
        holders = Responder.objects.filter(incident=incident, until__isnull=True).values("user")
        own = Contact.objects.filter(active=True, user__in=holders).exclude(email="")
        addresses += [email.lower() for email in own.values_list("email", flat=True)]
    return sorted(set(addresses))
