"""An incident that the public may hear of: a service with a public name, its component, subscribers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from comms.models import Component, Message, Subscriber
from comms.services.components import ensure_components
from core.actors import Actor
from core.models import Event
from incidents.models import Incident, Service
from incidents.services.incidents import declare_incident
from incidents.services.people import assign_role


@dataclass(frozen=True)
class Outside:
    """`incident` has Ida as its commander; `component` is what users call its service."""

    incident: Incident
    component: Component


def make_outside(shop: Service, commander: Actor, now: dt.datetime, **more: object) -> Outside:
    Service.objects.filter(pk=shop.pk).update(public_name="Checkout")
    ensure_components(now=now)
    declare: dict[str, object] = {"title": "DB of tenant 4711 melts", "severity": "P0"} | more
    incident = declare_incident(actor=commander, now=now, services=["shop"], **declare)  # type: ignore[arg-type]
    assign_role(incident_id=incident.pk, role="incident_commander", username="ida", actor=commander, now=now)
    return Outside(incident, Component.objects.get(service=shop))


def subscribe(number: int, now: dt.datetime) -> None:
    Subscriber.objects.bulk_create(
        Subscriber(email=f"user{n}@example.test", asked_at=now, confirmed_at=now) for n in range(number)
    )


def drafts(incident: Incident) -> list[Message]:
    rows = Message.objects.filter(incident=incident, visibility="external", state="draft")
    return list(rows.order_by("pk"))


def kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))
