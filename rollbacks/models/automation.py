"""The one switch of all automation."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from core.history import keep_history


@keep_history("armed", "reason", "changed_by", thing="Automation switch")
class AutomationSwitch(models.Model):
    """Armed or not, by whom and why. There is one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    armed = models.BooleanField(default=True)
    reason = models.CharField(max_length=500, blank=True)
    changed_at = models.DateTimeField(null=True)
    changed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="one_automation_switch")]

    def __str__(self) -> str:
        return "armed" if self.armed else "disarmed"
