"""Times when not the services failed, but what watches them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from incidents.models.incidents import Incident


class MonitoringOutage(models.Model):
    """Many services could not be measured at once: one incident for all, and no automatic rollback."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="+")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-began_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                models.Value(1), condition=Q(ended_at__isnull=True), name="one_monitoring_outage_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident_id} since {self.began_at:%Y-%m-%d %H:%M}"
