"""What the status page says: components, incidents and updates as the public sees them, and subscribers.

These tables hold public words only, beside references to what they are about. Whatever is written for
inside stays in the tables of incidents and messages, which the status page never reads.
"""

from __future__ import annotations

import secrets
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from comms.models.messages import Message
from comms.states import ComponentState, PublicImpact, PublicStatus
from core.history import keep_history
from incidents.models import Incident, Service


def public_id() -> str:
    """Twelve characters that say nothing, as Statuspage's."""
    return secrets.token_hex(6)


@keep_history("service", "group", "position", "description", thing="Component", named_by=("service",))
class Component(models.Model):
    """A service as the public sees it, under its `public_name`. `comms.services.components` writes `state`.

    `counted_until` says how far the time in a state is in the rows of its days.
    """

    service = models.OneToOneField(Service, on_delete=models.CASCADE, related_name="+")
    public_id = models.CharField(max_length=12, unique=True, default=public_id, editable=False)
    group = models.CharField(
        max_length=80, blank=True, help_text="Public: components of a group stand together."
    )
    position = models.PositiveSmallIntegerField(default=100, help_text="Low numbers stand first.")
    description = models.CharField(max_length=300, blank=True, help_text="Public.")
    state = models.CharField(
        max_length=24, choices=ComponentState.choices, default=ComponentState.OPERATIONAL, editable=False
    )
    created_at = models.DateTimeField(editable=False)
    changed_at = models.DateTimeField(editable=False)
    counted_until = models.DateTimeField(editable=False)

    class Meta:
        ordering: ClassVar = ["position", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=ComponentState.values), name="component_state_is_known"
            )
        ]

    def __str__(self) -> str:
        return f"component {self.public_id}"


class ComponentDay(models.Model):
    """How long a component was not well on a UTC day, by state."""

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    degraded_seconds = models.PositiveIntegerField(default=0)
    partial_seconds = models.PositiveIntegerField(default=0)
    major_seconds = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["component", "day"], name="one_row_per_component_and_day")
        ]
        indexes: ClassVar = [models.Index(fields=["day"], name="component_days_by_day")]

    def __str__(self) -> str:
        return f"{self.component_id} on {self.day}"


class PublicIncident(models.Model):
    """An incident on the status page, in words that were written for outside and approved."""

    incident = models.OneToOneField(Incident, on_delete=models.PROTECT, related_name="+")
    public_id = models.CharField(max_length=12, unique=True, default=public_id)
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=PublicStatus.choices)
    impact = models.CharField(max_length=12, choices=PublicImpact.choices)
    components = models.ManyToManyField(Component, related_name="+")
    started_at = models.DateTimeField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    monitoring_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-started_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["-started_at", "-id"], name="public_incidents_newest"),
            models.Index(
                fields=["-started_at"], condition=Q(resolved_at__isnull=True), name="public_incidents_open"
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status=PublicStatus.RESOLVED, resolved_at__isnull=False)
                | (~Q(status=PublicStatus.RESOLVED) & Q(resolved_at__isnull=True)),
                name="resolved_public_incident_says_when",
            ),
            models.CheckConstraint(
                condition=Q(status__in=PublicStatus.values), name="public_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(impact__in=PublicImpact.values), name="public_impact_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"public incident {self.public_id}"


class PublicUpdate(models.Model):
    """What an external message is made of, and what it puts on the status page once it is approved.

    `components` is {public_id: state}. `body` is the message's text as the page shows it, and
    `published_at` when it was approved; until then nothing of the row is public.
    """

    message = models.OneToOneField(Message, on_delete=models.PROTECT, related_name="public")
    public_incident = models.ForeignKey(
        PublicIncident, null=True, on_delete=models.PROTECT, related_name="updates"
    )
    public_id = models.CharField(max_length=12, unique=True, default=public_id)
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=PublicStatus.choices)
    impact = models.CharField(max_length=12, choices=PublicImpact.choices)
    impact_text = models.TextField(blank=True)
    update_text = models.TextField(blank=True)
    root_cause = models.TextField(blank=True)
    expected_duration = models.CharField(max_length=80, blank=True)
    started_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    components = models.JSONField(default=dict)
    changes = models.JSONField(default=list)  # [{code, name, old_status, new_status}] when it was published
    body = models.TextField(blank=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-published_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(published_at__isnull=True) | Q(public_incident__isnull=False),
                name="published_update_has_its_incident",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["public_incident", "-published_at"],
                condition=Q(published_at__isnull=False),
                name="public_updates_of_an_incident",
            ),
            models.Index(
                fields=["-published_at"],
                condition=Q(published_at__isnull=False),
                name="public_updates_newest",
            ),
        ]

    def __str__(self) -> str:
        return f"public update {self.public_id}"


def subscriber_key() -> str:
    """What deliveries and links name instead of the address."""
    return secrets.token_hex(16)


class Subscriber(models.Model):
    """Who wants to be mailed what the status page says. `key` stands for the address everywhere else.

    A row without `confirmed_at` waits for the confirmation; `mail_due_at` says that the mail with its
    link still has to leave.
    """

    email = models.EmailField(max_length=254)
    key = models.CharField(max_length=32, unique=True, default=subscriber_key)
    asked_at = models.DateTimeField()
    mail_due_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="one_subscription_per_address")]
        indexes: ClassVar = [
            models.Index(
                fields=["id"], condition=Q(confirmed_at__isnull=False), name="subscribers_confirmed"
            ),
            models.Index(
                fields=["mail_due_at"],
                condition=Q(mail_due_at__isnull=False),
                name="subscribers_to_be_mailed",
            ),
            models.Index(
                fields=["asked_at"], condition=Q(confirmed_at__isnull=True), name="subscribers_unconfirmed"
            ),
        ]

    def __str__(self) -> str:
        return f"subscriber {self.key[:8]}"


class StatusSnapshot(models.Model):
    """When the status page is written to disk next: one row. A change moves `due_at` to now."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    due_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="one_status_snapshot")]

    def __str__(self) -> str:
        return "status snapshot"
