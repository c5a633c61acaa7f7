"""Monitors and their samples."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.history import keep_history
from incidents.models.services import Service
from incidents.states import FailureKind, MonitorLevel, OnMonitoringFailure, SampleOutcome


class KeptMonitors(models.Manager["Monitor"]):
    """The monitors that were not removed."""

    def get_queryset(self) -> models.QuerySet[Monitor]:
        return super().get_queryset().filter(removed_at__isnull=True)


@keep_history(
    "service",
    "metric",
    "source",
    "interval_seconds",
    "thresholds",
    "policy",
    "on_monitoring_failure",
    "enabled",
    thing="Monitor",
    named_by=("metric", "service"),
)
class Monitor(models.Model):
    """One metric of one service, measured at an interval and judged by a policy's thresholds.

    A removed monitor is gone for everybody at once; a sweep takes its samples and its row away.
    `version` counts changes of what it is, not measurements.
    """

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="monitors")
    metric = models.CharField(max_length=60)
    source = models.JSONField(help_text='{"type": "http_json", "url": "…", "path": "error_rate"}')
    interval_seconds = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(86_400)]
    )
    thresholds = models.JSONField(
        null=True, blank=True, help_text="Overrides the policy's: {warning?, high?, critical?}."
    )
    policy = models.CharField(max_length=60, default="rollback_triggers")
    on_monitoring_failure = models.CharField(
        max_length=20, choices=OnMonitoringFailure.choices, default=OnMonitoringFailure.CORROBORATED
    )
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    removed_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField()
    level = models.CharField(
        max_length=10, choices=MonitorLevel.choices, default=MonitorLevel.OK, editable=False
    )
    level_since = models.DateTimeField(null=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    answered_at = models.DateTimeField(
        null=True, editable=False, help_text="When it last had an answer, if only that there is no data."
    )
    last_value = models.FloatField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    next_check_due_at = models.DateTimeField(null=True, editable=False)
    rechecks_left = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="Checks that are brought forward."
    )
    # What was acted upon of a metric that counts over a window: events are counted once.
    high_water = models.FloatField(null=True, editable=False)
    high_water_at = models.DateTimeField(null=True, editable=False)
    blindness_answered_at = models.DateTimeField(
        null=True, editable=False, help_text="When it was last decided to roll back for want of an answer."
    )

    objects = KeptMonitors()
    with_removed = models.Manager["Monitor"]()

    class Meta:
        ordering: ClassVar = ["service", "metric", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(level__in=MonitorLevel.values), name="monitor_level_is_known"),
            models.CheckConstraint(
                condition=Q(interval_seconds__range=(1, 86_400)),
                name="monitor_interval_is_a_day_at_most",
            ),
            models.CheckConstraint(
                condition=Q(removed_at__isnull=True) | Q(enabled=False),
                name="removed_monitor_measures_nothing",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_check_due_at"], condition=Q(enabled=True), name="monitors_due"),
            models.Index(
                fields=["level_since"], condition=Q(level=MonitorLevel.UNKNOWN), name="monitors_blind"
            ),
            models.Index(
                fields=["service"],
                condition=Q(enabled=True) & ~Q(level=MonitorLevel.OK),
                name="monitors_in_trouble",
            ),
            models.Index(
                fields=["removed_at"], condition=Q(removed_at__isnull=False), name="monitors_removed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.service_id}"


class Sample(models.Model):
    """One measurement. `value` is null when there was no data or no answer; `failure` says why not."""

    monitor = models.ForeignKey(Monitor, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=SampleOutcome.choices)
    failure = models.CharField(max_length=14, choices=FailureKind.choices, blank=True, db_default="")
    value = models.FloatField(null=True)
    level = models.CharField(max_length=10, choices=MonitorLevel.choices)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["monitor", "-at"], name="samples_newest_first")]

    def __str__(self) -> str:
        return f"{self.monitor_id} {self.at:%H:%M:%S} {self.value}"
