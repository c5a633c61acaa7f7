"""What became of samples: five minutes of a monitor in a row."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from incidents.models.monitors import Monitor
from incidents.states import MonitorLevel


class Rollup(models.Model):
    """Five minutes of a monitor's samples: how many, how many had a value or no answer, between what.

    Made once, when no sample of its hour can come any more, and never changed. The key is also the order
    that charts read in. The database itself deletes a removed monitor's rollups with it (ON DELETE CASCADE
    in the migration): the version before this one does not know them.
    """

    pk = models.CompositePrimaryKey("monitor", "start")
    monitor = models.ForeignKey(
        Monitor, on_delete=models.DO_NOTHING, related_name="rollups", db_constraint=False, db_index=False
    )
    start = models.DateTimeField()
    samples = models.PositiveIntegerField()
    measured = models.PositiveIntegerField(help_text="How many had a value.")
    unanswered = models.PositiveIntegerField(help_text="How many were failed checks.")
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    total = models.FloatField(null=True, help_text="The sum of the values.")
    level = models.CharField(max_length=10, choices=MonitorLevel.choices, help_text="The worst of them.")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(measured=0, low=None, high=None, total=None, level=MonitorLevel.UNKNOWN)
                | Q(measured__gt=0, low__isnull=False, high__isnull=False, total__isnull=False),
                name="rollup_has_values_or_none",
            ),
            models.CheckConstraint(
                condition=Q(samples__gt=0, measured__lte=models.F("samples")),
                name="rollup_of_at_least_one_sample",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.monitor_id} {self.start:%Y-%m-%d %H:%M}"

    @property
    def mean(self) -> float | None:
        return None if self.total is None else self.total / self.measured


class RollupMark(models.Model):
    """How far samples are rolled up: one row. Everything before `rolled_up_to` is, of every monitor.

    One mark for all monitors, not one each: it moves once an hour instead of ten thousand times, it is
    never in the way of a check that updates its monitor, and retention and charts need to ask only once.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    rolled_up_to = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="there_is_one_rollup_mark")]

    def __str__(self) -> str:
        return f"{self.rolled_up_to:%Y-%m-%d %H:%M}"
