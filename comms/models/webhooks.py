"""Outgoing webhooks: endpoints, one delivery for each event, and what each attempt was answered."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from comms.states import DUE_STATES, DeliveryState
from core.history import keep_history
from core.models import Event


@keep_history(
    "url",
    "description",
    "kinds",
    "sees_restricted",
    "enabled",
    thing="Webhook",
    named_by=("url",),
    seen_by="administer",
)
class WebhookEndpoint(models.Model):
    """An address that is told of events. `kinds` are kinds or beginnings of kinds; none means every event.

    Both secrets are sealed; the old one still signs until `old_secret_until`. Nobody sends to it before
    `not_before`: a sender that works on it, or a failure, moves that on.
    """

    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    kinds = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    sees_restricted = models.BooleanField(default=False)
    secret = models.TextField()
    old_secret = models.TextField(blank=True)
    old_secret_until = models.DateTimeField(null=True)
    enabled = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True)
    disabled_why = models.CharField(max_length=300, blank=True)
    failures = models.PositiveIntegerField(default=0)  # in a row, of whatever was sent
    failing_since = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.description or self.url


class WebhookDelivery(models.Model):
    """One event for one endpoint; without an event it is a test. It leaves at least once."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=60)
    state = models.CharField(max_length=12, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    claims = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField(null=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["endpoint", "event"], name="one_webhook_delivery_per_endpoint_and_event"
            ),
            models.CheckConstraint(
                condition=Q(state__in=DeliveryState.values), name="webhook_delivery_state_is_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["endpoint", "id"], condition=Q(state__in=DUE_STATES), name="webhook_deliveries_due"
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_deliveries_newest"),
            models.Index(fields=["finished_at"], name="webhook_deliveries_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to webhook {self.endpoint_id}"


class WebhookAttempt(models.Model):
    """One POST and what was answered: the status, or why there was none, and the answer's beginning."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    milliseconds = models.PositiveIntegerField()
    error = models.CharField(max_length=500, blank=True)
    answer = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [models.Index(fields=["at"], name="webhook_attempts_by_time")]

    def __str__(self) -> str:
        return f"{self.status or self.error} at {self.at}"
