"""Signs of life of Firebreak's own processes and of the work they share."""

from typing import ClassVar

from django.db import models


class Heartbeat(models.Model):
    """When a piece of work was last done on a host, by the database's clock.

    `seconds` is how long the run before took, `note` one line about it; neither is always known.
    """

    component = models.CharField(max_length=60)
    host = models.CharField(max_length=200)
    beat_at = models.DateTimeField()
    seconds = models.FloatField(null=True)
    note = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["component", "host"], name="one_heartbeat_per_component_and_host")
        ]

    def __str__(self) -> str:
        return f"{self.component} on {self.host}"


class Process(models.Model):
    """A process of Firebreak and when it last proved that it works; gone when it ended in order.

    All times are the database's; `skew_seconds` is how far the process's own clock is ahead of it.
    """

    name = models.CharField(max_length=40)  # web, checks, comms, runner, beat, watchdog
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=60)
    playbook_digest = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    worked_at = models.DateTimeField(null=True)
    skew_seconds = models.FloatField(null=True)
    disk_free_ratio = models.FloatField(null=True)

    class Meta:
        ordering: ClassVar = ["name", "host", "started_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "host", "pid"], name="one_row_per_process")
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.host} ({self.pid})"


class HealthSnapshot(models.Model):
    """What was wrong with Firebreak itself when somebody last looked. There is one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    taken_at = models.DateTimeField()
    taken_by = models.CharField(max_length=240)
    troubles = models.JSONField(default=list)
    troubled_at = models.DateTimeField(null=True, help_text="When anything was last wrong.")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="one_health_snapshot")]

    def __str__(self) -> str:
        return f"{len(self.troubles)} trouble(s) at {self.taken_at:%H:%M:%S}"
