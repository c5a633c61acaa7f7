"""Shapes of reports, in and out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import Line, Text
from core.api.serializers import StrictSerializer
from core.clock import utcnow
from incidents.models import Report
from incidents.rules.reports import gaps
from incidents.selectors.reports import report_url
from incidents.services.reports import ROW_LENGTH, TEXT_LENGTH
from incidents.states import TEMPLATE_SECTIONS, ReportSection, ReportState, Severity

LONGEST_NAME = 150  # of an account


class ReportRowSerializer(serializers.Serializer[Any]):
    """An event in the report's timeline: `event` is what happened, `action` what somebody did about it."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    event = serializers.CharField()
    action = serializers.CharField()
    owner = serializers.CharField()
    included = serializers.BooleanField()
    reworded = serializers.BooleanField()
    version = serializers.IntegerField()


class PublishedReportSerializer(serializers.Serializer[Any]):
    """A revision that was published; its Markdown is in the export."""

    revision = serializers.IntegerField()
    sha256 = serializers.CharField()
    published_at = serializers.DateTimeField()
    published_by = serializers.CharField()


class ReportSummarySerializer(serializers.ModelSerializer[Report]):
    """A report in a list; `missing` are the parts that must still be written at its severity: sections, and
    `action_items` and `prevention`, which are added as action items.
    """

    incident = serializers.CharField(source="incident.ref")
    title = serializers.CharField(source="incident.title")
    severity = serializers.ChoiceField(choices=Severity.choices, source="incident.severity")
    state = serializers.ChoiceField(choices=ReportState.choices)
    owner = serializers.SerializerMethodField()
    overdue = serializers.SerializerMethodField()
    submitted_by = serializers.SerializerMethodField()
    published_by = serializers.SerializerMethodField()
    filled = serializers.SerializerMethodField()
    missing = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Report
        fields: tuple[str, ...] = (
            "incident", "title", "severity", "state", "revision", "owner", "drafted_at", "due_at", "overdue",
            "submitted_at", "submitted_by", "published_at", "published_by", "filled", "missing", "url",
        )  # fmt: skip

    def get_owner(self, report: Report) -> str | None:
        return report.owner.get_username() if report.owner else None

    def get_overdue(self, report: Report) -> bool:
        return report.is_overdue(utcnow())

    def get_submitted_by(self, report: Report) -> str | None:
        return report.submitted_by or None

    def get_published_by(self, report: Report) -> str | None:
        return report.published_by or None

    def get_filled(self, report: Report) -> int:
        return len(self.context["written"][report.pk].intersection(TEMPLATE_SECTIONS))

    def get_missing(self, report: Report) -> list[str]:
        written = self.context["written"][report.pk]
        required = self.context["required"][Severity(report.incident.severity)]
        return [str(gap.section) for gap in gaps(written, required)]

    def get_url(self, report: Report) -> str:
        return f"{settings.PUBLIC_URL}{report_url(report.incident.ref)}"


class ReportSerializer(ReportSummarySerializer):
    """A report whole: `sections` what each says, `versions` how often it was written."""

    sections = serializers.SerializerMethodField()
    versions = serializers.SerializerMethodField()
    timeline = serializers.SerializerMethodField()
    published = serializers.SerializerMethodField()

    class Meta(ReportSummarySerializer.Meta):
        fields = (*ReportSummarySerializer.Meta.fields, "sections", "versions", "timeline", "published")

    def get_sections(self, report: Report) -> dict[str, str]:
        return {str(section): self.context["texts"].get(section, "") for section in ReportSection}

    def get_versions(self, report: Report) -> dict[str, int]:
        return {str(section): self.context["versions"].get(section, 0) for section in ReportSection}

    @extend_schema_field(ReportRowSerializer(many=True))
    def get_timeline(self, report: Report) -> Any:
        return ReportRowSerializer(self.context["lines"], many=True).data

    @extend_schema_field(PublishedReportSerializer(many=True))
    def get_published(self, report: Report) -> Any:
        rows = report.published.defer("markdown")
        return PublishedReportSerializer(rows, many=True).data


class SectionsSerializer(StrictSerializer):
    """Texts by section."""

    impact = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    primary_cause = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    contributing_factors = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    actions_taken = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    users_affected = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    impact_duration = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    functionality_affected = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    revenue_impact = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    sla_breach = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    customer_complaints = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    went_well = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    could_be_improved = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    no_prevention = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)


class EditReportSerializer(StrictSerializer):
    """What the sections shall say; with `seen`, only where each is still at the version that was read."""

    sections = SectionsSerializer()
    seen = serializers.DictField(
        child=serializers.IntegerField(min_value=0, max_value=2**31 - 1), required=False, allow_empty=True
    )

    def validate_seen(self, value: dict[str, int]) -> dict[str, int]:
        if unknown := [name for name in value if name not in ReportSection.values]:
            raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such section."))
        return value


class EditRowSerializer(StrictSerializer):
    """How an event stands in the report's timeline; with `seen`, only where the row is at that version."""

    included = serializers.BooleanField()
    event = Line(max_length=ROW_LENGTH, required=False, allow_blank=True)
    action = Line(max_length=ROW_LENGTH, required=False, allow_blank=True)
    owner = Line(max_length=200, required=False, allow_blank=True)
    seen = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)


class AssignReportSerializer(StrictSerializer):
    """Whose it is; null is nobody's."""

    user = Line(max_length=LONGEST_NAME, allow_null=True)
