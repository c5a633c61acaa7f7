"""What must not be forgotten on an incident, and by when."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.models import Event
from incidents.models.incidents import Incident


class ChecklistItemQuerySet(models.QuerySet["ChecklistItem"]):
    """Verbs of reading items."""

    def lapsing(self, now: dt.datetime) -> ChecklistItemQuerySet:
        """Not ticked when their window ended, and nobody has looked since."""
        return self.filter(ticked_at__isnull=True, lapsed_at__isnull=True, due_at__lte=now)

    def ending(self, now: dt.datetime) -> ChecklistItemQuerySet:
        """Not ticked when a reminder of them was due, and nobody has said so yet."""
        return self.filter(ticked_at__isnull=True, remind_at__lte=now)


class ChecklistItem(models.Model):
    """One thing to do on one incident, as the playbook said it when the checklist was opened."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="checklist_items")
    checklist = models.CharField(max_length=60)
    phase = models.CharField(max_length=60)
    key = models.CharField(max_length=60)
    position = models.PositiveSmallIntegerField(help_text="Its place in the whole checklist.")
    phase_name = models.CharField(max_length=120)
    name = models.CharField(max_length=120)
    text = models.TextField()
    starts_at = models.DateTimeField(help_text="When its window opens.")
    due_at = models.DateTimeField(help_text="When its window ends.")
    ticked_at = models.DateTimeField(null=True)
    ticked_by = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    lapsed_at = models.DateTimeField(
        null=True, help_text="When it was seen that the window of its phase had ended with something undone."
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    remind_at = models.DateTimeField(
        null=True, help_text="When its owner is reminded that its window ends; null once that was said."
    )
    answered_event = models.ForeignKey(
        Event, null=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        help_text="The last event that ticked it by machine: the same one never does so twice.",
    )  # fmt: skip

    objects = ChecklistItemQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["checklist", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["incident", "checklist", "key"], name="one_item_per_key_and_checklist"
            ),
            models.CheckConstraint(
                condition=Q(ticked_at__isnull=True, ticked_by="")
                | (Q(ticked_at__isnull=False) & ~Q(ticked_by="")),
                name="ticked_item_says_when_and_by_whom",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                condition=Q(ticked_at__isnull=True, lapsed_at__isnull=True),
                name="checklist_items_due",
            ),
            models.Index(
                fields=["remind_at"],
                condition=Q(ticked_at__isnull=True, remind_at__isnull=False),
                name="checklist_items_to_remind_of",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident_id} {self.checklist}: {self.name}"

    def is_overdue(self, now: dt.datetime) -> bool:
        """Its window has ended and it is not ticked."""
        return self.ticked_at is None and self.due_at <= now
