"""The columns of an incident that the API shows, read from its own table, written to a table beside it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Shape(models.Model):
    """What a bare row needs to be answered in the API's shape."""

    ref = models.CharField(max_length=24)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    impact = models.TextField(blank=True)
    kind = models.CharField(max_length=12, default="operational")
    severity = models.CharField(max_length=2)
    security_level = models.PositiveSmallIntegerField(null=True)
    status = models.CharField(max_length=20, default="investigating")
    restricted = models.BooleanField(default=False)
    drill = models.BooleanField(default=False)
    declared_at = models.DateTimeField()
    declared_by = models.CharField(max_length=200)
    source = models.CharField(max_length=10, default="api")
    started_at = models.DateTimeField()
    response_due_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True)
    response_breached_at = models.DateTimeField(null=True)
    next_update_due_at = models.DateTimeField(null=True)
    escalated_at = models.DateTimeField(null=True)
    escalated_to = models.CharField(max_length=20, blank=True, default="")
    resolved_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.ref


class Row(Shape):
    """A stored incident."""

    objects: ClassVar[models.Manager[Row]] = models.Manager()

    class Meta:
        app_label = "bench"
        managed = False
        db_table = "incidents_incident"


class Written(Shape):
    """Where the ceiling's create writes: one insert, one commit."""

    objects: ClassVar[models.Manager[Written]] = models.Manager()

    class Meta:
        app_label = "bench"
        managed = False
        db_table = "bench_written"


class Delivered(models.Model):
    """Where the ceiling keeps what a sender of alerts delivers, as it came."""

    body = models.TextField()
    received_at = models.DateTimeField()

    objects: ClassVar[models.Manager[Delivered]] = models.Manager()

    class Meta:
        app_label = "bench"
        managed = False
        db_table = "bench_delivered"

    def __str__(self) -> str:
        return str(self.pk)
