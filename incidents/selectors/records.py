"""Incidents, services and monitors one by one, with what each needs to be shown on its own."""

from __future__ import annotations

import functools
from typing import TypeVar

from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, JSONField, QuerySet
from django.db.models.expressions import RawSQL

from core.actors import Actor, Level
from core.errors import NotFound
from core.models import Event
from incidents.models import Incident, Monitor, Release, Responder, Service
from incidents.models.incidents import IncidentQuerySet
from incidents.states import ReleaseState

ROLLBACK_HOLD = "rollback"
Thing = TypeVar("Thing")


def incident_records(actor: Actor) -> IncidentQuerySet:
    """The incidents that the actor may see, with all that the API says of one (one query).

    Each row brings `service_slugs`, `role_holders` {role: username} or None, and `rollback_hold`, a
    reference or None.
    """
    return _records().visible_to(actor)


def incident_record(actor: Actor, ref: str) -> Incident:
    """One of `incident_records`; raises NotFound also where the actor may not see it."""
    found = next(iter(_records().filter(ref=ref).order_by()), None)
    # Who is on it matters only for a restricted one; every other request is spared asking.
    if found is None or found.restricted or actor.level < Level.VIEWER:
        found = next(iter(incident_records(actor).filter(ref=ref).order_by()), None)
    return _found(found, "incident", ref)


# Subqueries of the rows of one page cost less than three further queries and their objects; as text
# they cost a quarter of what putting them together as expressions does, in every request.
_SERVICE_SLUGS = """
ARRAY(SELECT s.slug FROM incidents_incident_services n JOIN incidents_service s ON s.id = n.service_id
       WHERE n.incident_id = incidents_incident.id ORDER BY s.name, s.slug)
"""
_ROLE_HOLDERS = """
(SELECT jsonb_object_agg(r.role, u.username) FROM incidents_responder r JOIN core_user u ON u.id = r.user_id
  WHERE r.incident_id = incidents_incident.id AND r.until IS NULL AND r.role <> '')
"""
_ROLLBACK_HOLD = """
(SELECT h.reference FROM incidents_incidenthold h
  WHERE h.incident_id = incidents_incident.id AND h.kind = %s ORDER BY h.placed_at LIMIT 1)
"""


@functools.cache
def _records() -> IncidentQuerySet:
    """Put together once: a queryset is only cloned by who narrows it."""
    slugs, text = ArrayField(CharField()), CharField(null=True)
    return Incident.objects.annotate(
        service_slugs=RawSQL(_SERVICE_SLUGS, [], output_field=slugs),  # noqa: S611 - constants
        role_holders=RawSQL(_ROLE_HOLDERS, [], output_field=JSONField(null=True)),  # noqa: S611
        rollback_hold=RawSQL(_ROLLBACK_HOLD, [ROLLBACK_HOLD], output_field=text),  # noqa: S611
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


def get_release(service: Service, version: str) -> Release:
    """Raises NotFound."""
    return _found(Release.objects.filter(service=service, version=version).first(), "release", version)


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
