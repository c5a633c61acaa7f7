"""Shapes of incidents, their people and their timeline, in and out."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import Choice, Flag, Line, Moment, Text, WholeNumber, moment_text
from core.api.serializers import StrictSerializer
from core.clock import utcnow
from core.events import SUMMARY_LENGTH
from core.models import Event
from incidents.models import Incident, Responder
from incidents.services.notes import KINDS
from incidents.states import (
    AUDIENCES,
    INCIDENT_ROLES,
    IncidentKind,
    IncidentSource,
    IncidentStatus,
    Role,
    Severity,
)

_ROLE_NAMES = tuple(role.value for role in INCIDENT_ROLES)


class RolesSerializer(serializers.Serializer[Any]):
    """The account name of each role's holder, or null."""

    incident_commander = serializers.CharField(allow_null=True)
    technical_lead = serializers.CharField(allow_null=True)
    security_lead = serializers.CharField(allow_null=True)
    communications_lead = serializers.CharField(allow_null=True)
    development_lead = serializers.CharField(allow_null=True)


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """An incident of `incident_records`."""

    kind = serializers.ChoiceField(choices=IncidentKind.choices)
    severity = serializers.ChoiceField(choices=Severity.choices)
    security_level = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(choices=IncidentStatus.choices)
    source = serializers.ChoiceField(choices=IncidentSource.choices)  # type: ignore[assignment]  # the contract's name
    services = serializers.ListField(source="service_slugs", child=serializers.CharField())
    escalated_to = serializers.SerializerMethodField()
    response_breached = serializers.SerializerMethodField()
    duration_seconds = serializers.SerializerMethodField()
    roles = serializers.SerializerMethodField()
    active_rollback = serializers.CharField(source="rollback_hold", allow_null=True)
    url = serializers.SerializerMethodField()

    class Meta:
        model = Incident
        fields = (
            "ref", "title", "description", "impact", "kind", "severity", "security_level",
            "status", "services", "drill", "declared_at", "declared_by", "source", "started_at",
            "response_due_at", "acknowledged_at", "response_breached", "next_update_due_at",
            "resolved_at", "closed_at", "duration_seconds", "escalated_at", "escalated_to", "restricted",
            "roles", "active_rollback", "url",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=AUDIENCES, allow_null=True))
    def get_escalated_to(self, incident: Incident) -> str | None:
        """The audience it was escalated to last."""
        return incident.escalated_to or None

    def get_response_breached(self, incident: Incident) -> bool:
        return incident.response_breached_at is not None

    def get_duration_seconds(self, incident: Incident) -> float:
        """From the declaration to the resolution, or until now."""
        end: dt.datetime = incident.resolved_at or utcnow()
        return round((end - incident.declared_at).total_seconds(), 3)

    @extend_schema_field(RolesSerializer)
    def get_roles(self, incident: Any) -> dict[str, str | None]:
        held = incident.role_holders or {}
        return {role: held.get(role) for role in _ROLE_NAMES}

    def get_url(self, incident: Incident) -> str:
        """The page for people."""
        return f"{settings.PUBLIC_URL}/incidents/{incident.ref}/"

    def to_representation(self, incident: Any) -> dict[str, Any]:
        """The declared fields, written out: field by field the framework takes most of a list's time."""
        return {
            "ref": incident.ref,
            "title": incident.title,
            "description": incident.description,
            "impact": incident.impact,
            "kind": incident.kind,
            "severity": incident.severity,
            "security_level": incident.security_level,
            "status": incident.status,
            "services": incident.service_slugs,
            "drill": incident.drill,
            "declared_at": moment_text(incident.declared_at),
            "declared_by": incident.declared_by,
            "source": incident.source,
            "started_at": moment_text(incident.started_at),
            "response_due_at": moment_text(incident.response_due_at),
            "acknowledged_at": moment_text(incident.acknowledged_at),
            "response_breached": self.get_response_breached(incident),
            "next_update_due_at": moment_text(incident.next_update_due_at),
            "resolved_at": moment_text(incident.resolved_at),
            "closed_at": moment_text(incident.closed_at),
            "duration_seconds": self.get_duration_seconds(incident),
            "escalated_at": moment_text(incident.escalated_at),
            "escalated_to": self.get_escalated_to(incident),
            "restricted": incident.restricted,
            "roles": self.get_roles(incident),
            "active_rollback": incident.rollback_hold,
            "url": self.get_url(incident),
        }


class DeclareIncidentSerializer(StrictSerializer):
    """What an incident begins with."""

    title = Line(max_length=200)
    severity = Choice(choices=Severity.choices)
    description = Text(required=False, allow_blank=True)
    impact = Text(required=False, allow_blank=True)
    kind = Choice(choices=IncidentKind.choices, required=False)
    security_level = WholeNumber(min_value=1, max_value=3, required=False, allow_null=True)
    services = serializers.ListField(child=Line(max_length=60), max_length=100, required=False)
    started_at = Moment(required=False, allow_null=True)
    restricted = Flag(required=False)
    drill = Flag(required=False)


class EditIncidentSerializer(StrictSerializer):
    """What is to be different."""

    title = Line(max_length=200, required=False)
    description = Text(required=False, allow_blank=True)
    impact = Text(required=False, allow_blank=True)
    services = serializers.ListField(child=Line(max_length=60), max_length=100, required=False)


class ChangeSeveritySerializer(StrictSerializer):
    """Another severity, and why."""

    severity = Choice(choices=Severity.choices)
    reason = Text()


class SecurityLevelSerializer(StrictSerializer):
    """Level 1, 2 or 3, and why."""

    level = WholeNumber(min_value=1, max_value=3)
    reason = Text()


class UpdateSerializer(StrictSerializer):
    """How it stands."""

    message = Text()
    next_steps = Text(required=False, allow_blank=True)
    status = Choice(choices=(IncidentStatus.INVESTIGATING, IncidentStatus.MONITORING), required=False)
    severity = Choice(choices=Severity.choices, required=False)
    visibility = Choice(choices=("internal", "external", "both"), required=False)


class ResolveSerializer(StrictSerializer):
    """How it ended."""

    resolution = Text()
    root_cause = Text(required=False, allow_blank=True)


class EscalateSerializer(StrictSerializer):
    """Why more people are needed, and who: management unless said otherwise."""

    reason = Text()
    to = Choice(choices=AUDIENCES, required=False)


class UserSerializer(StrictSerializer):
    """An account by its name."""

    user = Line(max_length=150)


class HolderSerializer(UserSerializer):
    """Who is to hold a role. `replaces` is who holds it as far as the client knows, empty for nobody."""

    replaces = Line(max_length=150, required=False, allow_blank=True)


class ResponderSerializer(serializers.ModelSerializer[Responder]):
    """Somebody who is, or until `until` was, on the incident."""

    user = serializers.CharField(source="user.username")
    role = serializers.SerializerMethodField()

    class Meta:
        model = Responder
        fields = ("user", "role", "since", "until", "added_by")
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=Role.choices, allow_null=True))
    def get_role(self, row: Responder) -> str | None:
        return Role(row.role) if row.role else None


class EventSerializer(serializers.ModelSerializer[Event]):
    """One event of a timeline; `hash` covers it and its predecessor's hash."""

    data = serializers.DictField()  # type: ignore[assignment]  # the contract's name

    class Meta:
        model = Event
        fields = ("seq", "kind", "occurred_at", "recorded_at", "actor", "source", "summary", "data", "hash")
        read_only_fields = fields


class NoteSerializer(StrictSerializer):
    """What somebody writes on the timeline."""

    summary = Line(max_length=SUMMARY_LENGTH)
    occurred_at = Moment(required=False, allow_null=True)
    kind = Choice(choices=tuple(KINDS), required=False)
