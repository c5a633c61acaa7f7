"""Drills: what was planned, what happened, and how it went."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from core.actors import Actor
from incidents.models import Incident, Service
from rollbacks.states import DrillState


class DrillQuerySet(models.QuerySet["Drill"]):
    """Verbs of reading drills; every selector starts with `visible_to`."""

    def visible_to(self, actor: Actor) -> DrillQuerySet:
        """A drill without an incident is no secret; then who may see the incident may see the drill."""
        seen = Incident.objects.visible_to(actor).filter(pk=OuterRef("incident_id"))
        return self.filter(Q(incident__isnull=True) | Exists(seen))

    def due(self, now: dt.datetime) -> DrillQuerySet:
        return self.filter(due_at__lte=now)


class Drill(models.Model):
    """One exercise on one service. `rollbacks.transitions` alone writes `state`.

    `plan` is the scenario as it was when the drill was planned, with its targets: a later playbook does not
    change how it is scored. `slot` names the day of the calendar that planned it; there is one drill for
    each. `due_at` is when the sweep has to look; None once it has ended.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    scenario = models.CharField(max_length=60)
    plan = models.JSONField()
    state = models.CharField(max_length=10, choices=DrillState.choices, default=DrillState.PLANNED)
    slot = models.CharField(max_length=20, blank=True)
    starts_at = models.DateTimeField()
    page_people = models.BooleanField(default=False)
    participants = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")
    planned_by = models.CharField(max_length=200)
    planned_by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    planned_at = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True)
    incident = models.OneToOneField(Incident, null=True, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True, help_text="When it ends by itself.")
    injects_sent = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=500, blank=True, help_text="Why it ended.")
    scorecard = models.JSONField(null=True)
    notes = models.TextField(blank=True)
    due_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)

    objects = DrillQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=DrillState.values), name="drill_state_is_known"),
            models.UniqueConstraint(
                fields=["slot"], condition=~Q(slot=""), name="one_drill_for_each_day_of_the_calendar"
            ),
            models.UniqueConstraint(
                fields=["service"],
                condition=Q(state=DrillState.RUNNING),
                name="one_running_drill_per_service",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=(DrillState.RUNNING, DrillState.FINISHED))
                | Q(incident__isnull=False, started_at__isnull=False),
                name="drill_that_was_held_has_its_incident",
            ),
            models.CheckConstraint(
                condition=~Q(state=DrillState.FINISHED) | Q(scorecard__isnull=False),
                name="finished_drill_has_its_scorecard",
            ),
            models.CheckConstraint(
                condition=Q(state__in=(DrillState.PLANNED, DrillState.RUNNING), ended_at__isnull=True)
                | Q(state__in=(DrillState.FINISHED, DrillState.CANCELLED), ended_at__isnull=False),
                name="drill_that_is_over_has_its_end",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="drills_due"),
            models.Index(fields=["service", "-id"], name="drills_of_a_service"),
            models.Index(fields=["state", "-id"], name="drills_by_state"),
        ]

    def __str__(self) -> str:
        return f"drill {self.pk}"

    @property
    def name(self) -> str:
        """What it is called now: a scenario's own name says what its participants are to find out."""
        if self.is_told:
            return str(self.plan["name"])
        if self.incident_id is not None:
            return str(self.plan["title"])
        return str(self.plan.get("invitation", "An emergency"))  # planned by the version before

    @property
    def is_told(self) -> bool:
        """Whether there is nothing left to find out."""
        return self.state == DrillState.FINISHED

    @property
    def injects(self) -> list[dict[str, Any]]:
        """{at_seconds, text, look} in the order of their times."""
        return list(self.plan["injects"])

    @property
    def targets(self) -> dict[str, int]:
        """Seconds from the beginning, by what is expected."""
        return dict(self.plan["targets"])


class RehearsalLapse(models.Model):
    """That the technical team was told in a week, named by its Monday, which services are overdue."""

    week = models.DateField(unique=True)
    said_at = models.DateTimeField()
    services = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar = ["-week"]

    def __str__(self) -> str:
        return f"week of {self.week}"
