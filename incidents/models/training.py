"""Who has done which training, and when they are due again."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class TrainingRecord(models.Model):
    """Somebody has done a course. `current` is the last one of each person and course."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    course = models.CharField(max_length=60)
    done_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="When it lapses.")
    note = models.CharField(max_length=300, blank=True)
    source = models.CharField(max_length=40, blank=True, help_text="The drill it was, where it was one.")
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=200)
    current = models.BooleanField(default=True)
    reminded_at = models.DateTimeField(null=True)
    overdue_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "course"], condition=Q(current=True), name="one_current_training_per_course"
            ),
            models.UniqueConstraint(
                fields=["user", "course", "done_at"], name="one_training_record_per_person_and_time"
            ),
            models.CheckConstraint(condition=Q(due_at__gt=models.F("done_at")), name="training_lapses_later"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(current=True), name="trainings_due"),
            models.Index(fields=["course", "-id"], name="trainings_by_course"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.course}"


class AwaitedTraining(models.Model):
    """A course that the playbook asks of somebody who has never done it; `services.training` alone writes it,
    by what is asked of whom now.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    course = models.CharField(max_length=60)
    due_at = models.DateTimeField(help_text="Until when it is to be done for the first time.")
    reminded_at = models.DateTimeField(null=True)
    overdue_at = models.DateTimeField(null=True, help_text="When it was said last that it is overdue.")

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "course"], name="one_awaited_training_per_course"),
        ]
        indexes: ClassVar = [models.Index(fields=["due_at"], name="awaited_training_by_due")]

    def __str__(self) -> str:
        return f"{self.user}: {self.course}"
