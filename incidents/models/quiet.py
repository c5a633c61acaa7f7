"""Silences and maintenance windows: when something that is wrong shall call nobody."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from core.history import keep_history
from incidents.models.services import Service

_SPAN = Q(ends_at__gte=F("starts_at"))


def in_force(now: dt.datetime) -> Q:
    """Of silences and of maintenance windows: those that hold back now."""
    return Q(starts_at__lte=now, ends_at__gt=now)


@keep_history("matchers", "starts_at", "ends_at", "reason", thing="Silence", named_by=("reason",))
class Silence(models.Model):
    """Alerts whose labels fit every matcher are kept, marked, and open nothing while it lasts.

    `matchers` is a list of {label, op, value}, as in incidents.rules.matchers. Ending one early moves
    `ends_at`.
    """

    matchers = models.JSONField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=300)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ended_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [models.Index(fields=["ends_at"], name="silences_by_end")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=_SPAN, name="silence_ends_after_it_starts"),
        ]

    def __str__(self) -> str:
        return f"silence {self.pk}"


@keep_history("starts_at", "ends_at", "reason", thing="Maintenance window", named_by=("reason",))
class MaintenanceWindow(models.Model):
    """Work on services: what their monitors and alerts say opens no incident while it lasts.

    When it has ended, a sweep looks once at what is still wrong (`looked_at`).
    """

    services = models.ManyToManyField(Service, related_name="maintenance_windows")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=300)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ended_by = models.CharField(max_length=200, blank=True)
    looked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [
            models.Index(fields=["ends_at"], name="maintenance_by_end"),
            models.Index(
                fields=["ends_at"], condition=Q(looked_at__isnull=True), name="maintenance_to_look_after"
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=_SPAN, name="maintenance_ends_after_it_starts"),
        ]

    def __str__(self) -> str:
        return f"maintenance {self.pk}"


@keep_history(
    "maintenancewindow", "service", thing="Service under maintenance", named_by=("service",), plain=True
)
class MaintainedService(MaintenanceWindow.services.through):  # type: ignore[name-defined,misc]
    """That a window is about a service; here so that its history is kept."""

    class Meta:
        proxy = True
