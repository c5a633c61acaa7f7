"""What somebody is to do after an incident, or because of a review: the work of weeks, not of the night."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.actors import Actor
from incidents.models.incidents import Incident
from incidents.models.reviews import Review
from incidents.rules.follow_up import is_past
from incidents.states import UNFINISHED, ActionItemKind, ActionItemState


class ActionItemQuerySet(models.QuerySet["ActionItem"]):
    """Verbs of reading action items; every selector starts with `visible_to`."""

    def visible_to(self, actor: Actor) -> ActionItemQuerySet:
        """Those of no incident, and those of incidents that the actor may see."""
        seen = Incident.objects.visible_to(actor).values("pk")
        return self.filter(Q(incident__isnull=True) | Q(incident__in=seen))

    def unfinished(self) -> ActionItemQuerySet:
        return self.filter(state__in=UNFINISHED)

    def overdue(self, now: dt.datetime) -> ActionItemQuerySet:
        """Not finished when the UTC day of their due date had ended."""
        return self.unfinished().filter(due_on__lt=now.astimezone(dt.UTC).date())

    def to_remind_of(self, now: dt.datetime) -> ActionItemQuerySet:
        """A reminder of them is due; of a drill's nobody is reminded."""
        rows = self.unfinished().filter(remind_at__lte=now)
        return rows.filter(Q(incident__isnull=True) | Q(incident__drill=False))


class ActionItem(models.Model):
    """One action item. `incidents.services.action_items` alone writes it.

    `due_on` is a day of the calendar and ends with that day in UTC. `remind_at` is when its owner is
    reminded next; null where nothing is to be said any more.
    """

    incident = models.ForeignKey(Incident, null=True, on_delete=models.CASCADE, related_name="action_items")
    review = models.ForeignKey(
        Review,
        null=True,
        on_delete=models.PROTECT,
        related_name="action_items",
        db_index=False,  # the index below has those of one
        help_text="The review that it comes from, where it was one.",
    )
    kind = models.CharField(
        max_length=9, choices=ActionItemKind.choices, default=ActionItemKind.ACTION, db_default="action"
    )
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    due_on = models.DateField(null=True)
    state = models.CharField(
        max_length=11, choices=ActionItemState.choices, default=ActionItemState.OPEN, db_default="open"
    )
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    finished_at = models.DateTimeField(null=True)
    finished_by = models.CharField(max_length=200, blank=True)
    finished_note = models.TextField(blank=True, help_text="What was done, or why it will not be.")
    remind_at = models.DateTimeField(null=True, help_text="When its owner is reminded next.")
    version = models.PositiveIntegerField(default=1)

    objects = ActionItemQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=ActionItemState.values), name="action_item_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=ActionItemKind.values), name="action_item_kind_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED, finished_at__isnull=True, finished_by="")
                | (~Q(state__in=UNFINISHED) & Q(finished_at__isnull=False) & ~Q(finished_by="")),
                name="finished_action_item_says_when_and_by_whom",
            ),
            models.CheckConstraint(
                condition=Q(remind_at__isnull=True) | Q(state__in=UNFINISHED, due_on__isnull=False),
                name="only_due_action_items_are_reminded_of",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["remind_at"], condition=Q(remind_at__isnull=False), name="action_items_to_remind_of"
            ),
            models.Index(fields=["state", "due_on"], name="action_items_by_due"),
            models.Index(fields=["owner", "id"], name="action_items_by_owner"),
            models.Index(fields=["review"], condition=Q(review__isnull=False), name="action_items_by_review"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED

    def is_overdue(self, now: dt.datetime) -> bool:
        """It is not finished, and its day has ended."""
        return not self.is_finished and self.due_on is not None and is_past(self.due_on, now)
