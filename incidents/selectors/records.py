"""Incidents, services and monitors one by one, with what each needs to be shown on its own."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Prefetch, QuerySet

from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from incidents.models import Incident, IncidentHold, Monitor, Release, Responder, Service
from incidents.states import ReleaseState

ROLLBACK_HOLD = "rollback"
Thing = TypeVar("Thing")


def incident_records(actor: Actor) -> QuerySet[Incident]:
    """The incidents that the actor may see, with services, role holders and rollback holds (4 queries)."""
    holders = Responder.objects.filter(until__isnull=True).exclude(role="").select_related("user")
    holds = IncidentHold.objects.filter(kind=ROLLBACK_HOLD).order_by("placed_at")
    return Incident.objects.visible_to(actor).prefetch_related(
        "services", Prefetch("responders", queryset=holders), Prefetch("holds", queryset=holds)
    )


def get_incident(ref: str, actor: Actor) -> Incident:
    """The incident of that reference; raises NotFound also where the actor may not see it."""
    return _found(Incident.objects.visible_to(actor).filter(ref=ref).first(), "incident", ref)


def list_events(incident: Incident) -> QuerySet[Event]:
    """The incident's timeline."""
    return Event.objects.filter(stream_id=incident.stream_id)


def list_responders(incident: Incident) -> QuerySet[Responder]:
    """Everybody who is or was on the incident."""
    return incident.responders.select_related("user")


def get_service(slug: str) -> Service:
    """Raises NotFound."""
    return _found(Service.objects.filter(slug=slug).first(), "service", slug)


def get_monitor(monitor_id: int) -> Monitor:
    """Raises NotFound."""
    found = Monitor.objects.select_related("service").filter(pk=monitor_id).first()
    return _found(found, "monitor", str(monitor_id))


def live_version(service: Service) -> str | None:
    """The version that the ledger says is live."""
    live = Release.objects.filter(service=service, state=ReleaseState.LIVE)
    return live.values_list("version", flat=True).first()


def _found(thing: Thing | None, kind: str, name: str) -> Thing:
    if thing is None:
        raise NotFound(f"There is no {kind} {name[:80]}.")
    return thing
