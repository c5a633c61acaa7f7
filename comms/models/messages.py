"""Messages and their deliveries, with a receipt for each."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from comms.models.contacts import Contact
from comms.states import DUE_STATES, DeliveryState, MessageState, Template, Visibility
from core.models import Event
from incidents.models import Incident


class Message(models.Model):
    """What was said about one event, from one template. Its wording is text; `forms` has what differs by
    channel: `short` for SMS, and `html` or `blocks` where the playbook has templates of its own for them.
    """

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    incident = models.ForeignKey(Incident, null=True, on_delete=models.PROTECT, related_name="+")
    rollback_ref = models.CharField(max_length=24, blank=True)
    template = models.CharField(max_length=24, choices=Template.choices)
    visibility = models.CharField(
        max_length=8,
        choices=Visibility.choices,
        default=Visibility.INTERNAL,
        db_default=Visibility.INTERNAL,
    )
    audiences = models.JSONField(default=list)
    channels = models.JSONField(default=list, db_default=[])
    subject = models.CharField(max_length=300)
    body = models.TextField()
    forms = models.JSONField(default=dict, db_default={})
    state = models.CharField(max_length=12, choices=MessageState.choices, default=MessageState.QUEUED)
    version = models.PositiveIntegerField(default=1, db_default=1)
    created_at = models.DateTimeField()
    drafted_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    approved_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "template"], name="one_message_per_event_and_template"),
            models.CheckConstraint(condition=Q(state__in=MessageState.values), name="message_state_is_known"),
            models.CheckConstraint(
                condition=Q(visibility__in=Visibility.values), name="message_visibility_is_known"
            ),
            models.CheckConstraint(
                condition=Q(visibility=Visibility.INTERNAL)
                | Q(approved_at__isnull=False)
                | Q(state__in=(MessageState.DRAFT, MessageState.SUPERSEDED)),
                name="external_message_was_approved",
            ),
        ]

    def __str__(self) -> str:
        return self.subject


class Delivery(models.Model):
    """One message to one recipient over one channel. A delivery leaves at least once."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    channel = models.CharField(max_length=60)
    lane = models.CharField(max_length=20, default="", db_default="")  # the channel's kind
    recipient = models.CharField(max_length=320)
    contact = models.ForeignKey(Contact, null=True, on_delete=models.SET_NULL, related_name="+")
    urgent = models.BooleanField(default=False, db_default=False)
    stands_in_for = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="+")
    bundled_into = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=12, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    claims = models.PositiveIntegerField(default=0, db_default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Nobody foresaw it: sending raised, or whoever sent it died.
    crashes = models.PositiveSmallIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(null=True)
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
            models.Index(
                fields=["lane", "urgent", "due_at", "id"],
                condition=Q(state__in=DUE_STATES),
                name="deliveries_of_a_lane",
            ),
            models.Index(
                fields=["channel", "recipient", "id"],
                condition=Q(state__in=(DeliveryState.PENDING, DeliveryState.SENDING)),
                name="deliveries_to_somebody",
            ),
            models.Index(
                fields=["channel", "recipient", "id"],
                condition=Q(state=DeliveryState.RETRYING),
                name="deliveries_tried_again",
            ),
            models.Index(
                fields=["channel", "recipient", "-sent_at"],
                condition=Q(state=DeliveryState.SENT, lane__in=("sms", "voice")),
                name="deliveries_that_rang",
            ),
            models.Index(
                fields=["channel", "sent_at"],
                condition=Q(state=DeliveryState.SENT),
                name="deliveries_of_a_channel",
            ),
            models.Index(
                fields=["channel", "due_at"],
                condition=Q(state__in=(DeliveryState.RETRYING, DeliveryState.DEAD)),
                name="deliveries_that_failed",
            ),
            models.Index(
                fields=["contact", "-id"],
                condition=Q(state__in=(DeliveryState.SENT, DeliveryState.DEAD)),
                name="deliveries_of_a_contact",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} to {self.recipient}"
