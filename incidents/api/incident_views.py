"""Addresses of incidents: reading, declaring, the verbs, roles, responders and the timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.pagination import NewestFirst
from core.api.serializers import EmptySerializer, OptionalReasonSerializer, ReasonSerializer
from core.api.views import ApiViewSet, command
from core.errors import NotFound
from core.models import Event
from incidents.api import incident_serializers as shapes
from incidents.api.filters import IncidentFilters, ResponderFilters, TimelineFilters
from incidents.models import Incident, Responder
from incidents.selectors.records import (
    get_incident,
    incident_record,
    incident_records,
    list_events,
    list_responders,
)
from incidents.services import escalation, incidents, notes, people, secrecy
from incidents.states import INCIDENT_ROLES


class OldestFirst(NewestFirst):
    """A timeline is read from its beginning."""

    ordering = ("seq",)


class IncidentViewSet(ApiViewSet):
    """Incidents."""

    queryset = Incident.objects.none()
    serializer_class = shapes.IncidentSerializer
    lookup_field = "ref"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write"}
    filters = IncidentFilters
    versioned = True

    def list(self, request: Request) -> Response:
        """Incidents, newest first; drills only when asked for."""
        return self.page(incident_records(self.actor), shapes.IncidentSerializer)

    @extend_schema(request=shapes.DeclareIncidentSerializer, responses={201: shapes.IncidentSerializer})
    def create(self, request: Request) -> Response:
        """Declare an incident."""
        incident = incidents.declare_incident(**self.body(shapes.DeclareIncidentSerializer), **self.by())
        return self._show(incident.ref, status=201)

    def retrieve(self, request: Request, ref: str) -> Response:
        """One incident."""
        return self._show(ref)

    @extend_schema(request=shapes.EditIncidentSerializer)
    def partial_update(self, request: Request, ref: str) -> Response:
        """Correct what an incident says about itself."""
        return self._do(incidents.edit_incident, ref, shapes.EditIncidentSerializer)

    @command(takes=EmptySerializer, answers=shapes.IncidentSerializer)
    def acknowledge(self, request: Request, ref: str) -> Response:
        """Take it on: the response clock stops."""
        return self._do(incidents.acknowledge_incident, ref, EmptySerializer)

    @command(takes=shapes.ChangeSeveritySerializer, answers=shapes.IncidentSerializer)
    def change_severity(self, request: Request, ref: str) -> Response:
        """Raise or lower the severity."""
        return self._do(incidents.change_severity, ref, shapes.ChangeSeveritySerializer)

    @command(takes=shapes.UpdateSerializer, answers=shapes.IncidentSerializer, url_path="update")
    def post_update(self, request: Request, ref: str) -> Response:
        """Say how it stands, and move state or severity in the same breath."""
        return self._do(incidents.post_update, ref, shapes.UpdateSerializer)

    @command(takes=shapes.EscalateSerializer, answers=shapes.IncidentSerializer)
    def escalate(self, request: Request, ref: str) -> Response:
        """Ask for more people: the audience is told by the playbook's routing."""
        return self._do(escalation.escalate_incident, ref, shapes.EscalateSerializer)

    @command(takes=shapes.ResolveSerializer, answers=shapes.IncidentSerializer)
    def resolve(self, request: Request, ref: str) -> Response:
        """It is over; 409 while a rollback runs."""
        return self._do(incidents.resolve_incident, ref, shapes.ResolveSerializer)

    @command(takes=shapes.SecurityLevelSerializer, answers=shapes.IncidentSerializer)
    def set_security_level(self, request: Request, ref: str) -> Response:
        """Classify as a security incident, or raise or lower its level; it becomes restricted."""
        return self._do(secrecy.set_security_level, ref, shapes.SecurityLevelSerializer)

    @command(takes=ReasonSerializer, answers=shapes.IncidentSerializer)
    def restrict(self, request: Request, ref: str) -> Response:
        """From now on it is need-to-know: a code name to everybody who does not work on it."""
        return self._do(secrecy.restrict_incident, ref, ReasonSerializer)

    @command(takes=ReasonSerializer, answers=shapes.IncidentSerializer)
    def unrestrict(self, request: Request, ref: str) -> Response:
        """Open it up to everybody: by a person who may be security lead, or an administrator."""
        return self._do(secrecy.unrestrict_incident, ref, ReasonSerializer)

    @command(takes=ReasonSerializer, answers=shapes.IncidentSerializer)
    def reopen(self, request: Request, ref: str) -> Response:
        """It was not over after all."""
        return self._do(incidents.reopen_incident, ref, ReasonSerializer)

    @command(takes=OptionalReasonSerializer, answers=shapes.IncidentSerializer)
    def close(self, request: Request, ref: str) -> Response:
        """Nothing is left to do; a closed incident does not change any more."""
        return self._do(incidents.close_incident, ref, OptionalReasonSerializer)

    def _do(self, service: Callable[..., object], ref: str, takes: type[Any]) -> Response:
        incident = get_incident(ref, self.actor)
        body = self.body(takes)
        with self.unchanged(incident):
            service(incident_id=incident.pk, **body, **self.by())
        return self._show(ref)

    def _show(self, ref: str, status: int = 200) -> Response:
        return self.show(incident_record(self.actor, ref), shapes.IncidentSerializer, status=status)


class RoleViewSet(ApiViewSet):
    """Who holds a role on an incident."""

    scopes = {"PUT": "write", "DELETE": "write"}

    @extend_schema(request=shapes.HolderSerializer, responses=shapes.ResponderSerializer)
    def assign(self, request: Request, ref: str, role: str) -> Response:
        """Give the role to an account that has the grant; 409 where another holds it than `replaces` says."""
        incident = self._incident(ref, role)
        asked = self.body(shapes.HolderSerializer)
        names = {"username": asked["user"], "replaces": asked.get("replaces")}
        row = people.assign_role(incident_id=incident.pk, role=role, **names, **self.by())
        return Response(shapes.ResponderSerializer(row).data)

    @extend_schema(request=None, responses={204: None})
    def release(self, request: Request, ref: str, role: str) -> Response:
        """Leave the role empty."""
        incident = self._incident(ref, role)
        people.release_role(incident_id=incident.pk, role=role, **self.by())
        return Response(status=204)

    def _incident(self, ref: str, role: str) -> Incident:
        if role not in INCIDENT_ROLES:
            raise NotFound(f"There is no role {role[:80]} on an incident.")
        return get_incident(ref, self.actor)


class ResponderViewSet(ApiViewSet):
    """Everybody who is or was on an incident."""

    queryset = Responder.objects.none()
    serializer_class = shapes.ResponderSerializer
    scopes = {"GET": "read", "POST": "write"}
    filters = ResponderFilters

    def list(self, request: Request, ref: str) -> Response:
        """Responders, newest first; `until` is null for those who still are."""
        return self.page(list_responders(get_incident(ref, self.actor)), shapes.ResponderSerializer)

    @extend_schema(request=shapes.UserSerializer, responses={201: shapes.ResponderSerializer})
    def create(self, request: Request, ref: str) -> Response:
        """Bring somebody onto the incident."""
        incident = get_incident(ref, self.actor)
        username = self.body(shapes.UserSerializer)["user"]
        row = people.add_responder(incident_id=incident.pk, username=username, **self.by())
        return Response(shapes.ResponderSerializer(row).data, status=201)


class TimelineViewSet(ApiViewSet):
    """The timeline of an incident."""

    queryset = Event.objects.none()
    serializer_class = shapes.EventSerializer
    pagination_class = OldestFirst
    scopes = {"GET": "read", "POST": "write"}
    filters = TimelineFilters

    def list(self, request: Request, ref: str) -> Response:
        """Events, oldest first."""
        return self.page(list_events(get_incident(ref, self.actor)), shapes.EventSerializer)

    @extend_schema(request=shapes.NoteSerializer, responses={201: shapes.EventSerializer})
    def create(self, request: Request, ref: str) -> Response:
        """Write a note, an action or a decision."""
        incident = get_incident(ref, self.actor)
        event = notes.add_note(incident_id=incident.pk, **self.body(shapes.NoteSerializer), **self.by())
        return Response(shapes.EventSerializer(event).data, status=201)
