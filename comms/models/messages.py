"""Messages and their deliveries, with a receipt for each."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from comms.states import DUE_STATES, DeliveryState, MessageState, Template
from core.models import Event
from incidents.models import Incident


class Message(models.Model):
    """What was said about one event, from one template."""

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    incident = models.ForeignKey(Incident, null=True, on_delete=models.PROTECT, related_name="+")
    rollback_ref = models.CharField(max_length=24, blank=True)
    template = models.CharField(max_length=24, choices=Template.choices)
    audiences = models.JSONField(default=list)
    subject = models.CharField(max_length=300)
    body = models.TextField()
    state = models.CharField(max_length=12, choices=MessageState.choices, default=MessageState.QUEUED)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "template"], name="one_message_per_event_and_template"),
            models.CheckConstraint(condition=Q(state__in=MessageState.values), name="message_state_is_known"),
        ]

    def __str__(self) -> str:
        return self.subject


class Delivery(models.Model):
    """One message to one recipient over one channel. A delivery leaves at least once."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    channel = models.CharField(max_length=60)
    recipient = models.CharField(max_length=320)
    state = models.CharField(max_length=12, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    receipt = models.CharField(max_length=300, blank=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["event", "channel", "recipient"],
                name="one_delivery_per_event_channel_and_recipient",
            ),
            models.CheckConstraint(
                condition=Q(state__in=DeliveryState.values), name="delivery_state_is_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(state__in=DUE_STATES), name="deliveries_due"),
            models.Index(
                fields=["due_at"], condition=Q(state=DeliveryState.DEAD), name="deliveries_given_up"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} to {self.recipient}"
