"""Reviews of the process, and of the documents that the team keeps."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.actors import Actor
from incidents.models.incidents import Incident
from incidents.states import DocumentOutcome, ReviewState


class ReviewSchedule(models.Model):
    """Up to when reviews of a kind have been opened; its row is the lock of whoever opens the next."""

    kind = models.CharField(max_length=60, unique=True)
    opened_until = models.DateTimeField()
    next_at = models.DateTimeField(help_text="When the next one opens, as the playbook said last.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["next_at"], name="review_schedules_due")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.next_at}"


class ReviewQuerySet(models.QuerySet["Review"]):
    """Verbs of reading reviews; every selector starts with `visible_to`."""

    def visible_to(self, actor: Actor) -> ReviewQuerySet:
        """Those of the process, and retrospectives of incidents that the actor may see."""
        seen = Incident.objects.visible_to(actor).values("pk")
        return self.filter(Q(incident__isnull=True) | Q(incident__in=seen))


class Review(models.Model):
    """One review. `incidents.services.reviews` alone writes it.

    `agenda` is what was so when it opened, frozen. It names restricted incidents; who may see them is asked
    when it is read (`incidents.selectors.reviews`). `kind` is a key of the playbook, empty
    for one opened by hand. The retrospective of an incident is seen by who may see that.
    """

    kind = models.CharField(max_length=60, blank=True)
    period = models.CharField(max_length=20, blank=True, help_text="Such as 2026-W48, 2026-11, 2026-Q4.")
    name = models.CharField(max_length=120)
    incident = models.ForeignKey(
        Incident,
        null=True,
        on_delete=models.PROTECT,
        related_name="retrospectives",
        db_index=False,  # the constraint has one
        help_text="Whose retrospective it is; null for a review of the process.",
    )
    state = models.CharField(max_length=10, choices=ReviewState.choices, default=ReviewState.OPEN)
    version = models.PositiveIntegerField(default=1)
    begins_at = models.DateTimeField(help_text="The time it looks at begins.")
    ends_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    opened_by = models.CharField(max_length=200)
    due_at = models.DateTimeField()
    asked = models.JSONField(default=list)
    agenda = models.JSONField(default=list)
    attendees = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")
    notes = models.JSONField(default=dict, help_text="By section of the agenda.")
    decisions = models.TextField(blank=True)
    held_at = models.DateTimeField(null=True)
    held_by = models.CharField(max_length=200, blank=True)
    held_by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    signed_off_at = models.DateTimeField(null=True)
    signed_off_by = models.CharField(max_length=200, blank=True)
    reminded_at = models.DateTimeField(null=True)
    overdue_at = models.DateTimeField(null=True, help_text="When it was said last that it is overdue.")

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "period"], condition=~Q(kind=""), name="one_review_per_kind_and_period"
            ),
            models.UniqueConstraint(
                fields=["incident"],
                condition=Q(incident__isnull=False),
                name="one_retrospective_per_incident",
            ),
            models.CheckConstraint(condition=Q(state__in=ReviewState.values), name="review_state_is_known"),
            models.CheckConstraint(
                condition=Q(ends_at__gt=models.F("begins_at")), name="review_looks_at_time"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[ReviewState.HELD, ReviewState.SIGNED_OFF])
                | (Q(held_at__isnull=False) & ~Q(held_by="")),
                name="held_review_says_when_and_by_whom",
            ),
            models.CheckConstraint(
                condition=~Q(state=ReviewState.SIGNED_OFF)
                | (Q(signed_off_at__isnull=False) & ~Q(signed_off_by="")),
                name="signed_off_review_says_when_and_by_whom",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(state=ReviewState.OPEN), name="reviews_due"),
            models.Index(fields=["state", "-id"], name="reviews_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.period}".strip()


class Document(models.Model):
    """A document that is looked over now and then; what it is stands in the playbook under `key`."""

    key = models.CharField(max_length=130, unique=True)
    name = models.CharField(max_length=200)
    owner = models.CharField(max_length=24)
    url = models.CharField(max_length=200, blank=True)
    version = models.PositiveIntegerField(default=1)
    digest = models.CharField(max_length=64, blank=True, help_text="Of what it says now, where known.")
    active = models.BooleanField(default=True, help_text="The playbook still names it.")
    due_at = models.DateTimeField()
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.CharField(max_length=200, blank=True)
    reviewed_digest = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(max_length=10, choices=DocumentOutcome.choices, blank=True)
    note = models.TextField(blank=True)
    reminded_at = models.DateTimeField(null=True)
    overdue_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(outcome__in=["", *DocumentOutcome.values]), name="document_outcome_is_known"
            ),
            models.CheckConstraint(
                condition=Q(reviewed_at__isnull=True) | (~Q(reviewed_by="") & ~Q(outcome="")),
                name="reviewed_document_says_by_whom",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["due_at"], condition=Q(active=True), name="documents_due")]

    def __str__(self) -> str:
        return self.name

    @property
    def changed_since(self) -> bool:
        """Whether it says something else than when it was reviewed last."""
        return self.reviewed_at is not None and self.digest != self.reviewed_digest
