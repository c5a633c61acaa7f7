"""What the search knows of each incident, made anew of what is stored: nothing else depends on it."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q

from incidents.models.incidents import Incident


class SearchDocument(models.Model):
    """An incident as one text, up to event `seq` of its timeline. `incidents.services.searching` writes it.

    `words` has the title with weight A, what people wrote (report included) and the services with B, the
    timeline with C; `subject` the title and the beginning of the description, to compare incidents by.
    `metrics` are those that breached, `releases` ("shop 2.0.0") what ran when it was declared or was rolled
    back from, `rolled_back_to` the version that a rollback brought back last.
    """

    incident = models.OneToOneField(
        Incident, on_delete=models.CASCADE, primary_key=True, related_name="search_document"
    )
    seq = models.PositiveBigIntegerField()
    body = models.TextField(blank=True)
    words = SearchVectorField()
    subject = SearchVectorField()
    services = ArrayField(models.BigIntegerField())
    metrics = ArrayField(models.TextField())
    releases = ArrayField(models.TextField())
    rolled_back_to = models.TextField(blank=True)
    made_at = models.DateTimeField()

    class Meta:
        # Words that wait to be sorted into an index are read by every search: few may wait.
        indexes: ClassVar = [
            GinIndex(fields=["words"], name="search_by_words", gin_pending_list_limit=256),
            GinIndex(fields=["subject"], name="search_by_subject", gin_pending_list_limit=256),
            GinIndex(fields=["releases"], name="search_by_releases", gin_pending_list_limit=256),
        ]

    def __str__(self) -> str:
        return f"{self.incident_id} up to {self.seq}"


class SearchMark(models.Model):
    """How far the search has looked: one row. Every event up to `event`; `incident` was looked at last."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    event = models.BigIntegerField(default=0)
    incident = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="there_is_one_search_mark")]

    def __str__(self) -> str:
        return f"event {self.event}, incident {self.incident}"
