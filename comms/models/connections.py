"""What channels need to know to send: accounts and tokens, sealed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from core.history import keep_history


@keep_history(
    "name", "changed_at", "changed_by", thing="Connection", named_by=("name",), table="ConnectionChange"
)
class ConnectionSettings(models.Model):
    """The settings of one connection, such as `slack`: JSON sealed by core.encryption, never shown again."""

    name = models.CharField(max_length=60, primary_key=True)
    sealed = models.TextField()
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name_plural = "connection settings"

    def __str__(self) -> str:
        return self.name
