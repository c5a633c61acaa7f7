"""Streams of events and the outbox: what happened, written once."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q


class StreamKind(models.TextChoices):
    INCIDENT = "incident"
    SERVICE = "service"
    SYSTEM = "system"


class Stream(models.Model):
    """The head of one sequence of events; its row lock gives `seq` without gaps."""

    kind = models.CharField(max_length=10, choices=StreamKind.choices)
    name = models.CharField(max_length=80)  # the incident's reference, the service's slug, or "firebreak"
    head_seq = models.PositiveBigIntegerField(default=0)
    head_hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "name"], name="one_stream_per_subject")
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class Event(models.Model):
    """One fact of a stream. The database refuses UPDATE, DELETE and TRUNCATE.

    `canonical` holds the exact bytes that `hash` covers; the predecessor's hash is part of them.
    """

    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="events")
    seq = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=60)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=12)
    actor = models.CharField(max_length=200)
    actor_user_id = models.BigIntegerField(null=True)
    source = models.CharField(max_length=40)
    summary = models.CharField(max_length=500)
    data = models.JSONField(default=dict)
    canonical = models.BinaryField()
    hash = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["stream", "seq"], name="event_seq_unique_in_stream")
        ]

    def __str__(self) -> str:
        return f"{self.stream_id}#{self.seq} {self.kind}"


class PendingEvent(models.Model):
    """One event that one consumer has not handled yet; written with the event, deleted when handled."""

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    consumer = models.CharField(max_length=60)
    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="+")
    seq = models.PositiveBigIntegerField()
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    parked_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    # Handled when nothing else is due: settings.PATIENT_CONSUMERS.
    patient = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "consumer"], name="one_pending_row_per_consumer")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["patient", "due_at", "id"],
                condition=Q(parked_at__isnull=True),
                name="pending_events_by_turn",
            ),
            models.Index(
                fields=["consumer", "stream", "seq"],
                condition=Q(parked_at__isnull=True),
                name="pending_events_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.consumer}: event {self.event_id}"
