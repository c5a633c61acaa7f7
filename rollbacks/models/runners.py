"""Who runs rollbacks now."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from rollbacks.states import RunnerKind

ALIVE_SECONDS = 30
"""A sign of life is written every ten seconds: three missed ones are silence."""


class RunnerQuerySet(models.QuerySet["Runner"]):
    def alive(self) -> RunnerQuerySet:
        """Those that gave a sign of life lately, by the database's clock."""
        return self.filter(beat_at__gt=Now() - dt.timedelta(seconds=ALIVE_SECONDS))


class Runner(models.Model):
    """One process that claims rollbacks: which queues it serves, and with which procedures.

    `digests` are those of its own playbook, by procedure: it runs no other version of one.
    """

    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=RunnerKind.choices)
    queues = ArrayField(models.CharField(max_length=60))
    digests = models.JSONField()
    beat_at = models.DateTimeField()

    objects = RunnerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["host", "pid"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["host", "pid"], name="one_runner_per_process"),
            models.CheckConstraint(
                condition=models.Q(kind__in=RunnerKind.values), name="runner_kind_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
