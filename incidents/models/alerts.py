"""Alerts of other systems, and the deliveries that brought them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from incidents.models.incidents import Incident
from incidents.models.quiet import MaintenanceWindow, Silence
from incidents.models.services import Service
from incidents.states import AlertSource, AlertStatus, InboundKind, Severity

_WAITING = Q(processed_at__isnull=True, parked_at__isnull=True)


class InboundDelivery(models.Model):
    """What a sender delivered, as it came: committed before the answer, looked into afterwards.

    Of a PagerDuty event, `key`, `action` and `occurred_at` are known from the start: all events of one
    key together say how its alert stands, in whatever order they are looked into. No secret is in
    `body`: the routing key is taken out.
    """

    kind = models.CharField(max_length=12, choices=InboundKind.choices)
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    token = models.CharField(max_length=12)
    label = models.CharField(max_length=200, help_text="Account and token, as the timeline names them.")
    key = models.CharField(max_length=255, blank=True)
    action = models.CharField(max_length=12, blank=True)
    occurred_at = models.DateTimeField(null=True, help_text="What the sender says; null: nothing.")
    body = models.TextField()
    size = models.PositiveIntegerField()
    received_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    processed_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    outcome = models.CharField(max_length=300, blank=True, help_text="What came of it, if that needs a word.")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=InboundKind.values), name="inbound_kind_is_known"),
            models.CheckConstraint(
                condition=Q(processed_at__isnull=True) | Q(parked_at__isnull=True),
                name="inbound_is_processed_or_parked",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=_WAITING, name="inbound_waiting"),
            models.Index(fields=["id"], condition=Q(parked_at__isnull=False), name="inbound_parked"),
            models.Index(
                fields=["processed_at"], condition=Q(processed_at__isnull=False), name="inbound_processed"
            ),
            models.Index(fields=["sender", "key", "-id"], condition=~Q(key=""), name="inbound_of_a_key"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Alert(models.Model):
    """Something that another system says is wrong, from a moment on: one per fingerprint and start.

    `fingerprint` is the sender's (a PagerDuty event's dedup_key); what one account's tokens send never
    touches another's. `severity` is empty where the playbook says to keep it only. `incident` is what
    it opened or joined. While a silence or a maintenance window holds it back, `held_until` says when
    to look again.
    """

    source = models.CharField(max_length=12, choices=AlertSource.choices)
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    fingerprint = models.CharField(max_length=255)
    status = models.CharField(max_length=12, choices=AlertStatus.choices, default=AlertStatus.FIRING)
    title = models.CharField(max_length=1024)
    severity = models.CharField(max_length=2, choices=Severity.choices, blank=True)
    security = models.BooleanField(default=False)
    labels = models.JSONField(default=dict)
    annotations = models.JSONField(default=dict)
    url = models.CharField(max_length=2000, blank=True)
    notes = models.JSONField(default=list, help_text="What was not as it should be in what was sent.")
    ignored = models.CharField(max_length=300, blank=True, help_text="The playbook's reason to open nothing.")
    service = models.ForeignKey(Service, null=True, on_delete=models.SET_NULL, related_name="alerts")
    group_key = models.CharField(max_length=64)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    repeats = models.PositiveIntegerField(default=0)
    incident = models.ForeignKey(Incident, null=True, on_delete=models.SET_NULL, related_name="alerts")
    silenced_by = models.ForeignKey(Silence, null=True, on_delete=models.SET_NULL, related_name="alerts")
    maintenance = models.ForeignKey(
        MaintenanceWindow, null=True, on_delete=models.SET_NULL, related_name="alerts"
    )
    held_until = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["sender", "source", "fingerprint", "starts_at"],
                name="one_alert_per_fingerprint_and_start",
            ),
            models.CheckConstraint(condition=Q(source__in=AlertSource.values), name="alert_source_is_known"),
            models.CheckConstraint(condition=Q(status__in=AlertStatus.values), name="alert_status_is_known"),
            models.CheckConstraint(
                condition=Q(severity__in=["", *Severity.values]), name="alert_severity_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status=AlertStatus.RESOLVED, ends_at__isnull=False, held_until__isnull=True)
                | (~Q(status=AlertStatus.RESOLVED) & Q(ends_at__isnull=True)),
                name="resolved_alert_says_when_and_waits_for_nothing",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-id"], condition=~Q(status="resolved"), name="alerts_not_resolved"),
            models.Index(fields=["status", "-id"], name="alerts_by_status"),
            models.Index(fields=["service", "-id"], name="alerts_of_a_service"),
            models.Index(fields=["group_key", "-last_seen_at"], name="alerts_of_a_group"),
            models.Index(fields=["held_until"], condition=Q(held_until__isnull=False), name="alerts_held"),
            models.Index(fields=["ends_at"], condition=Q(ends_at__isnull=False), name="alerts_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.fingerprint} since {self.starts_at:%Y-%m-%d %H:%M}"
