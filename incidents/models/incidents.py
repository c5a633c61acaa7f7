"""Incidents, the people on them, and what holds them open."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.crypto import salted_hmac

from core.access import may
from core.actors import Actor
from core.models import Stream
from incidents.models.grants import RoleGrant
from incidents.models.services import Service
from incidents.states import (
    OPEN_STATUSES,
    IncidentKind,
    IncidentSource,
    IncidentStatus,
    Role,
    Severity,
)


class IncidentQuerySet(models.QuerySet["Incident"]):
    """Verbs of reading incidents; every selector starts with `visible_to`."""

    def visible_to(self, actor: Actor) -> IncidentQuerySet:
        """Need to know: a restricted incident exists for those who work on it now, for accounts that may
        be security lead, and for administrators; no other level makes a difference.
        """
        if may(actor, "see_restricted"):
            return self
        if not may(actor, "read"):
            return self.none()
        if actor.user_id is None:
            return self.filter(restricted=False)
        return self.filter(Q(restricted=False) | _needs_to_know(actor.user_id))

    def veiled_to(self, actor: Actor) -> IncidentQuerySet:
        """The restricted ones that the actor may not see, of whom they may read that they are there.

        Nothing of these is shown but the code name, the severity and the state.
        """
        if may(actor, "see_restricted") or not may(actor, "read"):
            return self.none()
        hidden = self.filter(restricted=True)
        return hidden if actor.user_id is None else hidden.exclude(_needs_to_know(actor.user_id))

    def open(self) -> IncidentQuerySet:
        return self.filter(status__in=OPEN_STATUSES)


class Incident(models.Model):
    """An incident. `incidents.transitions` alone writes `status`."""

    ref = models.CharField(max_length=24, unique=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    impact = models.TextField(blank=True)
    kind = models.CharField(max_length=12, choices=IncidentKind.choices, default=IncidentKind.OPERATIONAL)
    severity = models.CharField(max_length=2, choices=Severity.choices)
    security_level = models.PositiveSmallIntegerField(null=True, blank=True)
    status = models.CharField(
        max_length=20, choices=IncidentStatus.choices, default=IncidentStatus.INVESTIGATING
    )
    version = models.PositiveIntegerField(default=1)
    restricted = models.BooleanField(default=False)
    drill = models.BooleanField(default=False)
    services = models.ManyToManyField(Service, related_name="incidents", blank=True)
    origin = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="The service whose monitor opened this incident.",
    )  # fmt: skip
    source = models.CharField(max_length=10, choices=IncidentSource.choices)
    declared_at = models.DateTimeField()
    declared_by = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    response_due_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    response_breached_at = models.DateTimeField(null=True)
    next_update_due_at = models.DateTimeField(null=True)
    next_steps = models.TextField(blank=True)
    escalated_at = models.DateTimeField(null=True)
    escalated_to = models.CharField(
        max_length=20, blank=True, db_default="", help_text="The audience it was escalated to last."
    )
    resolved_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    resolution = models.TextField(blank=True)
    root_cause = models.TextField(blank=True)
    stream = models.OneToOneField(Stream, on_delete=models.PROTECT, related_name="+")

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-declared_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["-declared_at", "-id"], name="incidents_newest_first"),
            models.Index(
                fields=["response_due_at"],
                condition=Q(
                    acknowledged_at__isnull=True,
                    response_breached_at__isnull=True,
                    status__in=OPEN_STATUSES,
                ),
                name="incidents_response_due",
            ),
            models.Index(fields=["status"], condition=Q(status__in=OPEN_STATUSES), name="incidents_open"),
            models.Index(fields=["severity", "-id"], name="incidents_by_severity"),
            models.Index(fields=["kind", "-id"], name="incidents_by_kind"),
            models.Index(fields=["status", "-id"], name="incidents_by_status"),
            models.Index(fields=["-id"], condition=Q(drill=True), name="incidents_drills"),
            # The figures of any span are read from it alone (rollbacks.selectors.insights).
            models.Index(
                fields=["declared_at"],
                include=[
                    "id",
                    "severity",
                    "restricted",
                    "status",
                    "acknowledged_at",
                    "resolved_at",
                    "response_due_at",
                    "response_breached_at",
                ],
                condition=Q(drill=False),
                name="incidents_measured",
            ),
            # By migration: incidents_of_a_service (service, incident), incidents_search (words).
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=IncidentStatus.values), name="incident_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(severity__in=Severity.values), name="incident_severity_is_known"
            ),
            models.CheckConstraint(
                condition=Q(security_level__isnull=True) | Q(security_level__in=(1, 2, 3)),
                name="security_level_is_1_to_3",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("resolved", "closed")) | Q(resolved_at__isnull=False),
                name="resolved_incident_says_when",
            ),
            models.CheckConstraint(
                condition=Q(escalated_at__isnull=True, escalated_to="")
                | (Q(escalated_at__isnull=False) & ~Q(escalated_to="")),
                name="escalation_says_when_and_to_whom",
            ),
            models.UniqueConstraint(
                fields=["origin"],
                condition=Q(status__in=OPEN_STATUSES),
                name="one_open_monitor_incident_per_service",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ref} {self.title}"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def code_name(self) -> str:
        """What a restricted incident is called before who may not see it: always the same, and no more."""
        # The salt is older than this property: the name of an incident that was told must not change.
        return f"RESTRICTED-{salted_hmac('comms.code_name', self.ref).hexdigest()[:8].upper()}"


class Responder(models.Model):
    """A person on an incident, in a role or without one; handing over ends one row and starts the next."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="responders")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=24, choices=Role.choices, blank=True)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    added_by = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["since", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["incident", "role"],
                condition=Q(until__isnull=True) & ~Q(role=""),
                name="one_holder_per_role_and_incident",
            ),
            models.UniqueConstraint(
                fields=["incident", "user", "role"],
                condition=Q(until__isnull=True),
                name="one_open_row_per_responder",
            ),
            models.CheckConstraint(condition=Q(role__in=["", *Role.values]), name="responder_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} on {self.incident_id}"


def _needs_to_know(user_id: int) -> Q:
    """Whether the account works on an incident now, or may be security lead of any."""
    involved = Responder.objects.filter(incident=OuterRef("pk"), user_id=user_id, until__isnull=True)
    granted = RoleGrant.objects.filter(user_id=user_id, role=Role.SECURITY_LEAD)
    return Q(Exists(involved)) | Q(Exists(granted))


class IncidentHold(models.Model):
    """Something that keeps an incident from being resolved, placed by an app to the right."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="holds")
    kind = models.CharField(max_length=20)
    reference = models.CharField(max_length=40)
    reason = models.CharField(max_length=200)
    placed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "reference"], name="one_hold_per_thing")
        ]

    def __str__(self) -> str:
        return f"{self.incident_id} held by {self.reference}"
