"""The command that turns an event into messages and their deliveries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from django.db import transaction

from comms.models import Delivery, Message
from comms.playbook import Channels, Routing
from comms.rules.reach import Recipient
from comms.rules.routing import Planned, plan, recipients
from comms.selectors.connections import list_ways
from comms.selectors.content import MessageFacts, facts_for
from comms.selectors.recipients import ACCOUNT, PERSON, people_of
from comms.services.external import draft_by_rule
from comms.states import EXTERNAL_TEMPLATES, Means, MessageState, Template
from comms.wording import render
from core import hints
from core.actors import ActorKind
from core.models import Event
from core.playbook import get_playbook
from incidents import policy
from incidents.models import Incident
from incidents.states import Severity
from rollbacks.models import Rollback
from rollbacks.selectors.drills import may_page

NEVER_HELD_BACK = (Severity.P0, Severity.P1)  # by quiet hours; source: rulings, Safety


def has_route(kind: str) -> bool:
    """Whether the playbook tells anybody of such events."""
    return any(route.event == kind for route in cast(Routing, get_playbook()["routing"]).routes)


@transaction.atomic
def queue_messages(*, event: Event, now: dt.datetime) -> list[Message]:
    """Queue what the routing asks for about this event; an event already routed queues nothing."""
    routing = cast(Routing, get_playbook()["routing"])
    if not has_route(event.kind):
        return []
    incident = Incident.objects.filter(ref=event.data.get("incident", "")).first()
    planned = plan(
        routing.routes,
        kind=event.kind,
        facts=_known_of(incident) | event.data,
        severity_audiences=_audiences_of(incident) if incident else (),
        addressed=event.data.get("to"),
    )
    if not planned:
        return []
    rollback = (
        Rollback.objects.select_related("service", "incident")
        .filter(ref=event.data.get("rollback", ""))
        .first()
    )
    facts = facts_for(event, incident, rollback)
    queued = [
        draft_by_rule(one.template, one.channels, event=event, incident=incident, now=now)
        if one.template in EXTERNAL_TEMPLATES
        else _queue(one, event, incident, rollback, facts, now)
        for one in planned
    ]
    hints.wake("comms.sweep_deliveries")
    return [message for message in queued if message is not None]


def _audiences_of(incident: Incident) -> tuple[str, ...]:
    """Whom `severity` stands for: in a drill those who take part, whatever their audiences are."""
    if not incident.drill:
        return policy.severity_level(incident.severity).audiences
    names = incident.responders.filter(until__isnull=True).values_list("user__username", flat=True)
    return tuple(f"{ACCOUNT}{name}" for name in sorted(set(names)))


def _known_of(incident: Incident | None) -> dict[str, Any]:
    """What a route may ask of the incident beside the event's own data."""
    if incident is None:
        return {}
    return {
        "severity": incident.severity,
        "kind": incident.kind,
        "security_level": incident.security_level,
        "drill": incident.drill,
    }


def _queue(
    planned: Planned,
    event: Event,
    incident: Incident | None,
    rollback: Rollback | None,
    facts: MessageFacts,
    now: dt.datetime,
) -> Message | None:
    if Message.objects.filter(event=event, template=planned.template).exists():
        return None
    doer = _doer(event) if planned.template is Template.REMINDER else None
    chosen = recipients_for(planned, incident, now=now, without=doer)
    if not chosen and _asks_nobody(planned, incident, doer, now):
        return None
    wording = render(planned.template, facts)
    message = Message.objects.create(
        event=event,
        template=planned.template,
        incident=incident,
        rollback_ref=rollback.ref if rollback else "",
        audiences=list(planned.audiences),
        channels=list(planned.channels),
        subject=wording.subject,
        body=wording.body,
        forms=wording.forms,
        created_at=now,
    )
    if not deliver(message, chosen, incident, now):
        message.state, message.finished_at = MessageState.FAILED, now
        message.save(update_fields=["state", "finished_at"])
    return message


def _asks_nobody(planned: Planned, incident: Incident | None, doer: int | None, now: dt.datetime) -> bool:
    """Whether it is as it should be that nobody gets the message: the event addresses nobody, somebody and
    nobody else, or only who did it.
    """
    if all(audience.startswith(PERSON) for audience in planned.audiences):
        return True
    return doer is not None and bool(recipients_for(planned, incident, now=now))


def _doer(event: Event) -> int | None:
    """The account of the person who did it: nobody is asked for what they have just said themselves."""
    return event.actor_user_id if event.actor_kind == ActorKind.USER else None


def deliver(
    message: Message, chosen: Mapping[Recipient, bool], incident: Incident | None, now: dt.datetime
) -> bool:
    """Store the deliveries of a message to whom `recipients_for` found; returns whether it has any."""
    held_back = incident is not None and not _is_pressing(incident)
    deliveries = [
        delivery_to(recipient, message=message, urgent=urgent, held_back=held_back, now=now)
        for recipient, urgent in chosen.items()
    ]
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    return bool(deliveries)


def recipients_for(
    planned: Planned, incident: Incident | None, *, now: dt.datetime, without: int | None = None
) -> dict[Recipient, bool]:
    """Who would get it, and whether as a page; `without` is an account that is left out.

    Of a drill, only who takes part: by e-mail, and as in an emergency where the drill was planned so.
    """
    routing = cast(Routing, get_playbook()["routing"])
    channels = cast(Channels, get_playbook()["channels"]).root
    rehearsed = incident is not None and incident.drill
    groups, ways = planned.groups, list_ways()
    if incident is not None and rehearsed and not may_page(incident):
        groups = tuple(replace(group, page=False) for group in groups)
        ways = tuple(way for way in ways if way.means is Means.EMAIL)
    return recipients(
        groups,
        places=[key for key, channel in channels.items() if channel.means is None],
        people=people_of(planned.audiences, incident, now=now, only_participants=rehearsed, without=without),
        ways=ways,
        usual=routing.reach,
    )


@dataclass(frozen=True)
class Told:
    """How many an event tells inside: `people`, each once, and `rooms` that many read."""

    people: int
    rooms: int

    @property
    def words(self) -> str:
        """`14 people and 2 rooms`."""
        rooms = f"{self.rooms} room" + ("" if self.rooms == 1 else "s")
        people = "1 person" if self.people == 1 else f"{self.people} people"
        return f"{people} and {rooms}" if self.rooms else people


def count_told(kind: str, incident: Incident, *, now: dt.datetime) -> Told:
    """Whom the routing would tell inside of an event of that kind on the incident."""
    planned = plan(
        cast(Routing, get_playbook()["routing"]).routes,
        kind=kind,
        facts=_known_of(incident),
        severity_audiences=_audiences_of(incident),
    )
    inside = [one for one in planned if one.template not in EXTERNAL_TEMPLATES]
    told = {recipient for one in inside for recipient in recipients_for(one, incident, now=now)}
    people = {recipient.contact for recipient in told if recipient.contact is not None}
    rooms = {recipient.channel for recipient in told if recipient.contact is None}
    return Told(len(people), len(rooms))


def delivery_to(
    recipient: Recipient, *, message: Message, urgent: bool, held_back: bool, now: dt.datetime
) -> Delivery:
    """A delivery that is not stored yet; with `held_back` it waits for the end of the quiet hours."""
    channels: Mapping[str, Any] = cast(Channels, get_playbook()["channels"]).root
    quiet = recipient.quiet_until if held_back else None
    return Delivery(
        message=message,
        event_id=message.event_id,
        channel=recipient.channel,
        lane=channels[recipient.channel].kind,
        recipient=recipient.address,
        contact_id=recipient.contact,
        urgent=urgent,
        created_at=now,
        due_at=max(quiet, now) if quiet else now,
        last_error="held back: quiet hours" if quiet else "",
    )


def _is_pressing(incident: Incident) -> bool:
    return incident.severity in NEVER_HELD_BACK or incident.security_level == 1
