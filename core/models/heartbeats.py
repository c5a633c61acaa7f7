"""Signs of life of Firebreak's own processes."""

from typing import ClassVar

from django.db import models


class Heartbeat(models.Model):
    """When a component of a host was last seen working, by the database's clock."""

    component = models.CharField(max_length=60)
    host = models.CharField(max_length=200)
    beat_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["component", "host"], name="one_heartbeat_per_component_and_host")
        ]

    def __str__(self) -> str:
        return f"{self.component} on {self.host}"
