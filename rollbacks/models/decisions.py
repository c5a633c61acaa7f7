"""What automation decided, and what it knew."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q

from core.actors import Actor
from core.models import Event
from incidents.models import Incident, Service
from rollbacks.models.rollbacks import Rollback
from rollbacks.states import Verdict


class DecisionQuerySet(models.QuerySet["Decision"]):
    """Verbs of reading decisions; every selector starts with `visible_to`."""

    def visible_to(self, actor: Actor) -> DecisionQuerySet:
        """Who may see the incident may see what was decided about it."""
        seen = Incident.objects.visible_to(actor).filter(pk=OuterRef("incident_id"))
        return self.filter(Exists(seen))


class Decision(models.Model):
    """Why automation did, or did not, roll a service back: written once, with the act itself.

    `reasons` is a list of {code, text}, `evidence` what was known at that moment. There is one for each
    event that asked, however often it is delivered. The database refuses to change or delete one.
    """

    append_only: ClassVar = True  # for core.database_roles

    at = models.DateTimeField()
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="+")
    monitor = models.BigIntegerField(null=True, help_text="No foreign key: monitors are removed.")
    metric = models.CharField(max_length=60)
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    reasons = models.JSONField(default=list)
    evidence = models.JSONField(default=dict)
    rollback = models.ForeignKey(Rollback, null=True, on_delete=models.PROTECT, related_name="+")
    cause_event = models.OneToOneField(Event, null=True, on_delete=models.PROTECT, related_name="+")

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="verdict_is_known"),
            models.CheckConstraint(
                condition=Q(verdict__in=(Verdict.REFUSED, Verdict.NOT_CALLED_FOR))
                | Q(rollback__isnull=False),
                name="who_decides_for_a_rollback_names_it",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["service", "-id"], name="decisions_of_a_service"),
            models.Index(fields=["incident", "-id"], name="decisions_of_an_incident"),
            models.Index(fields=["verdict", "-id"], name="decisions_by_verdict"),
            models.Index(fields=["at"], name="decisions_by_time"),
            models.Index(
                fields=["-id"],
                condition=Q(verdict=Verdict.REFUSED, rollback__isnull=False),
                name="decisions_unconfirmed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_verdict_display()}: {self.metric} of {self.service_id}"
