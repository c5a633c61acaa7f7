"""The only writer of this app's events: who has been told stands on the incident's timeline."""

from __future__ import annotations

import datetime as dt

from comms.models import Component, Delivery, Message
from comms.states import ComponentState
from core import events
from core.actors import SYSTEM, Actor
from core.models import Event
from incidents.models import Incident


def record_message_finished(message: Message, *, sent: int, dead: int, now: dt.datetime) -> None:
    """Every delivery of a message has come to its end."""
    if message.incident is None:
        return
    label = message.get_template_display()
    people = f"{sent} delivered" + (f", {dead} given up" if dead else "")
    events.record(
        message.incident.stream_id,
        kind="message.sent" if sent else "message.failed",
        actor=SYSTEM,
        summary=f"{label}: {people}",
        now=now,
        data={
            "incident": message.incident.ref,
            "message": message.pk,
            "template": message.template,
        },
    )


def record_given_up(message: Message, delivery: Delivery, *, now: dt.datetime) -> None:
    """A message did not reach somebody, and there is no other way to them."""
    stream = message.incident.stream_id if message.incident else events.system_stream().pk
    label = message.get_template_display()
    events.record(
        stream,
        kind="delivery.given_up",
        actor=SYSTEM,
        summary=f"{label} could not be delivered by {delivery.channel}",
        now=now,
        data={
            "incident": message.incident.ref if message.incident else "",
            "message": message.pk,
            "template": message.template,
            "channel": delivery.channel,
        },
    )


def record_on_message(
    incident: Incident,
    kind: str,
    summary: str,
    *,
    template: str,
    actor: Actor,
    now: dt.datetime,
    message: int | None = None,
) -> Event:
    """Somebody drafted, approved, discarded or wrote a message: `message.drafted` and so on."""
    return events.record(
        incident.stream_id,
        kind=kind,
        actor=actor,
        summary=summary,
        now=now,
        data={"incident": incident.ref, "message": message, "template": template},
    )


def record_component_changed(
    component: Component, *, before: str, reason: str, actor: Actor, now: dt.datetime
) -> None:
    """A component of the status page changed, on the stream of its service."""
    service = component.service
    label = ComponentState(component.state).label
    events.record(
        service.stream_id,
        kind="component.changed",
        actor=actor,
        summary=f"Status page: {service.public_name or service.name} is {label.lower()}: {reason}",
        now=now,
        data={"service": service.slug, "from": before, "to": component.state},
    )
