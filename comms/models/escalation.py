"""The clocks of open incidents that page people when they run out."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from comms.states import ClockKind
from incidents.models import Incident


class EscalationClock(models.Model):
    """One clock of one open incident, and how far up its ladder people were paged.

    `due_at` is when to look again: by then the incident may have moved on, and nobody is paged. The row
    goes when its clock does not run any more.
    """

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=ClockKind.choices)
    ladder = models.CharField(max_length=2)  # the severity whose ladder it is
    counts_from = models.DateTimeField()
    done = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["incident", "kind"], name="one_clock_per_incident_and_kind"),
            models.CheckConstraint(condition=Q(kind__in=ClockKind.values), name="clock_kind_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["due_at"], name="escalation_clocks_due")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.incident_id}"
