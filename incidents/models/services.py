"""Services and the ledger of their releases."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from core.history import keep_history
from core.models import Stream
from incidents.states import ReleaseState

slug_validator = RegexValidator(r"^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?\Z", "Use a-z, 0-9 and inner hyphens.")


@keep_history(
    "slug",
    "name",
    "environment",
    "tier",
    "procedure",
    "auto_rollback",
    "public_name",
    thing="Service",
    named_by=("slug",),
)
class Service(models.Model):
    """One service in one environment; the slug names both."""

    slug = models.CharField(max_length=60, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=120)
    environment = models.CharField(max_length=40, default="production")
    tier = models.PositiveSmallIntegerField(null=True, blank=True)
    procedure = models.CharField(max_length=60, blank=True, help_text="Key of a procedure of the playbook.")
    auto_rollback = models.BooleanField(default=False)
    public_name = models.CharField(max_length=120, blank=True)
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    created_at = models.DateTimeField()
    stream = models.OneToOneField(Stream, on_delete=models.PROTECT, related_name="+", editable=False)

    class Meta:
        ordering: ClassVar = ["name", "slug"]
        # By migration: services_search (words).
        indexes: ClassVar = [models.Index(fields=["name", "slug"], name="services_by_name")]

    def __str__(self) -> str:
        return f"{self.name} ({self.environment})"


class Release(models.Model):
    """One version of a service as it was deployed."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="releases")
    version = models.CharField(max_length=100)
    commit = models.CharField(max_length=64, blank=True)
    artifact = models.CharField(max_length=500, blank=True)
    schema_version = models.CharField(max_length=100, blank=True)
    security_baseline = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=ReleaseState.choices, default=ReleaseState.LIVE)
    deployed_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    clean_since = models.DateTimeField(
        null=True, editable=False, help_text="No monitor has complained since then."
    )
    good_at = models.DateTimeField(
        null=True, editable=False, help_text="When it had been clean for long enough."
    )
    ended_at = models.DateTimeField(null=True, editable=False)
    quarantined_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when it must not be returned to, even while it is live."
    )
    quarantine_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        ordering: ClassVar = ["-deployed_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["version"], opclasses=["varchar_pattern_ops"], name="releases_by_version"),
            models.Index(
                fields=["commit"],
                opclasses=["varchar_pattern_ops"],
                condition=~Q(commit=""),
                name="releases_by_commit",
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["service", "version"], name="one_release_per_service_and_version"
            ),
            models.UniqueConstraint(
                fields=["service"],
                condition=Q(state=ReleaseState.LIVE),
                name="one_live_release_per_service",
            ),
            models.CheckConstraint(condition=Q(state__in=ReleaseState.values), name="release_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.service_id} {self.version}"
