"""Answers kept for 24 hours so that a repeated POST gets the first answer."""

from typing import ClassVar

from django.db import models


class IdempotentAnswer(models.Model):
    """The answer to one POST of one caller with one Idempotency-Key."""

    caller = models.CharField(max_length=80)
    key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField(null=True)
    etag = models.CharField(max_length=40, blank=True, db_default="")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["caller", "key"], name="one_answer_per_caller_and_key")
        ]

    def __str__(self) -> str:
        return f"{self.caller}: {self.key}"
