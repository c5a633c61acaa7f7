"""What shows what happened: files of an incident, stored once and never changed.

The bytes lie in the database: they, the event with their hash and the backup of both are one thing.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from incidents.models.incidents import Incident
from incidents.states import EvidenceKind

PIECE_BYTES = 1_048_576  # so that no statement and no reader holds more than this of a large one


class Evidence(models.Model):
    """One file, named by what was found in it, not by what its sender said. The database refuses a change."""

    append_only: ClassVar = True  # for core.database_roles

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="evidence")
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    kind = models.CharField(max_length=5, choices=EvidenceKind.choices)
    content_type = models.CharField(max_length=60)
    size = models.PositiveIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    attached_at = models.DateTimeField()
    attached_by = models.CharField(max_length=200)
    attached_by_account = models.BigIntegerField(null=True, help_text="No foreign key: accounts may go.")

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=EvidenceKind.values), name="evidence_kind_is_known"),
            models.CheckConstraint(condition=Q(size__gt=0), name="evidence_is_not_empty"),
            models.CheckConstraint(
                condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="evidence_has_a_sha256"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident_id}: {self.name}"


class EvidenceContent(models.Model):
    """A piece of at most 1 MiB, the first at position 0."""

    append_only: ClassVar = True

    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT, related_name="pieces", db_index=False)
    position = models.PositiveIntegerField()
    piece = models.BinaryField()

    class Meta:
        ordering: ClassVar = ["evidence", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["evidence", "position"], name="one_piece_at_a_position"),
        ]

    def __str__(self) -> str:
        return f"{self.evidence_id} from piece {self.position}"


class EvidenceWithdrawal(models.Model):
    """Somebody took a piece of evidence out of sight, and why; its bytes and its hash stay."""

    append_only: ClassVar = True

    evidence = models.OneToOneField(Evidence, on_delete=models.PROTECT, related_name="withdrawal")
    reason = models.CharField(max_length=500)
    withdrawn_at = models.DateTimeField()
    withdrawn_by = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.evidence_id} withdrawn"
