"""Post-incident reports: what people wrote, how it came about, and what was published."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from core.models import Event
from incidents.models.incidents import Incident
from incidents.states import IncidentStatus, ReportSection, ReportState


class ReportQuerySet(models.QuerySet["Report"]):
    """Verbs of reading reports."""

    def awaited(self) -> ReportQuerySet:
        """Not published, and somebody waits for it: of an incident that is resolved, or of one that was
        closed with its report and opened again. Drills have a scorecard instead.
        """
        revised = Q(incident__status=IncidentStatus.CLOSED) & _TELLS_THE_END
        waits = Q(incident__status=IncidentStatus.RESOLVED) | revised
        return self.exclude(state=ReportState.PUBLISHED).filter(waits, incident__drill=False)

    def skipped(self) -> ReportQuerySet:
        """Closed without a report of how it ended: somebody gave a reason, and nobody waits for one."""
        closed = self.exclude(state=ReportState.PUBLISHED).filter(incident__status=IncidentStatus.CLOSED)
        return closed.exclude(_TELLS_THE_END)


# Published since the incident was resolved last. Written so that a missing time is false, not unknown.
_TELLS_THE_END = Q(published_at__isnull=False) & Q(published_at__gte=F("incident__resolved_at"))


class Report(models.Model):
    """The report of one incident. `incidents.services.reports` alone writes it.

    `revision` counts what was published: 1 until the first publishing, one more when a published report is
    opened again. Who wrote in a revision or handed it in may not publish it (the playbook says when).
    """

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="report")
    state = models.CharField(max_length=10, choices=ReportState.choices, default=ReportState.DRAFT)
    revision = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(default=1)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    drafted_at = models.DateTimeField()
    due_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    submitted_by = models.CharField(max_length=200, blank=True)
    submitted_by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    published_at = models.DateTimeField(null=True, help_text="When it was published last.")
    published_by = models.CharField(max_length=200, blank=True)
    reminded_at = models.DateTimeField(null=True, help_text="When it was said that this due time comes near.")
    overdue_at = models.DateTimeField(null=True, help_text="When it was said that this due time had passed.")

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=ReportState.values), name="report_state_is_known"),
            models.CheckConstraint(
                condition=~Q(state=ReportState.PUBLISHED)
                | (Q(published_at__isnull=False) & ~Q(published_by="")),
                name="published_report_says_when_and_by_whom",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                condition=~Q(state=ReportState.PUBLISHED) & Q(overdue_at__isnull=True),
                name="reports_due",
            ),
            models.Index(fields=["state", "due_at"], name="reports_by_state"),
        ]

    def __str__(self) -> str:
        return f"report of {self.incident_id}"

    def is_overdue(self, now: dt.datetime) -> bool:
        return self.state != ReportState.PUBLISHED and self.due_at <= now


class ReportText(models.Model):
    """What a section of a report says now; a section nobody wrote has no row."""

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="texts")
    section = models.CharField(max_length=24, choices=ReportSection.choices)
    text = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)
    by_machine = models.BooleanField(help_text="Nobody has touched what was drafted from the timeline.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["report", "section"], name="one_text_per_section"),
            models.CheckConstraint(
                condition=Q(section__in=ReportSection.values), name="report_section_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.report_id}: {self.section}"


class ReportRow(models.Model):
    """How an event stands in the report's timeline, where a person wanted it otherwise than by its kind."""

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="rows")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    included = models.BooleanField()
    event_text = models.CharField(max_length=500, blank=True)
    action_text = models.CharField(max_length=500, blank=True)
    owner = models.CharField(max_length=200, blank=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["report", "event"], name="one_row_per_report_and_event"),
        ]

    def __str__(self) -> str:
        return f"{self.report_id}: event {self.event_id}"


class ReportChange(models.Model):
    """A text as it was written, by whom and when: the history of a section."""

    append_only: ClassVar = True  # for core.database_roles

    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="changes")
    section = models.CharField(max_length=24, choices=ReportSection.choices)
    version = models.PositiveIntegerField()
    revision = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)
    changed_by_account = models.BigIntegerField(null=True, help_text="No foreign key: accounts may go.")

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["report", "section", "version"], name="one_change_per_version_of_a_section"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.report_id}: {self.section} {self.version}"


class ReportRowChange(models.Model):
    """A row of the timeline as somebody wanted it, by whom and when: the history of a row."""

    append_only: ClassVar = True

    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="row_changes")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    revision = models.PositiveIntegerField()
    included = models.BooleanField()
    event_text = models.CharField(max_length=500, blank=True)
    action_text = models.CharField(max_length=500, blank=True)
    owner = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)
    changed_by_account = models.BigIntegerField(null=True, help_text="No foreign key: accounts may go.")

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["report", "event", "version"], name="one_change_per_version_of_a_row"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.report_id}: event {self.event_id}, {self.version}"


class PublishedReport(models.Model):
    """A report as it was published, whole and for ever, with what its files say at their head."""

    append_only: ClassVar = True

    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="published")
    revision = models.PositiveIntegerField()
    markdown = models.TextField()
    sha256 = models.CharField(max_length=64)
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=200)
    title = models.CharField(max_length=200, blank=True, db_default="")
    severity = models.CharField(max_length=2, blank=True, db_default="")
    severity_name = models.CharField(max_length=200, blank=True, db_default="")

    class Meta:
        ordering: ClassVar = ["-revision"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["report", "revision"], name="one_published_report_per_revision"),
        ]

    def __str__(self) -> str:
        return f"{self.report_id} revision {self.revision}"
