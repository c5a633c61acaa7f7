"""What somebody is to do on an incident."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from incidents.models.incidents import Incident
from incidents.states import TaskState


class TaskQuerySet(models.QuerySet["Task"]):
    """Verbs of reading tasks."""

    def open(self) -> TaskQuerySet:
        return self.filter(state=TaskState.OPEN)

    def lapsing(self, now: dt.datetime) -> TaskQuerySet:
        """Open when their time came, and nobody has said so yet."""
        return self.filter(state=TaskState.OPEN, overdue_at__isnull=True, due_at__lte=now)


class Task(models.Model):
    """One thing to do on one incident. `incidents.services.tasks` alone writes it."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="tasks")
    title = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    due_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=TaskState.choices, default=TaskState.OPEN)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    finished_at = models.DateTimeField(null=True)
    finished_by = models.CharField(max_length=200, blank=True)
    overdue_at = models.DateTimeField(
        null=True, help_text="When it was said that this due time had passed; another due time starts anew."
    )
    version = models.PositiveIntegerField(default=1)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=TaskState.values), name="task_state_is_known"),
            models.CheckConstraint(
                condition=Q(state="open", finished_at__isnull=True, finished_by="")
                | (~Q(state="open") & Q(finished_at__isnull=False) & ~Q(finished_by="")),
                name="finished_task_says_when_and_by_whom",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                condition=Q(state="open", overdue_at__isnull=True, due_at__isnull=False),
                name="tasks_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.incident_id}: {self.title}"

    def is_overdue(self, now: dt.datetime) -> bool:
        """Its time has come and it is open."""
        return self.state == TaskState.OPEN and self.due_at is not None and self.due_at <= now
