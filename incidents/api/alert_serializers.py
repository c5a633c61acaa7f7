"""Shapes of alerts, silences and maintenance windows, in and out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import Choice, Line, Moment
from core.api.serializers import StrictSerializer
from core.clock import utcnow
from core.http import is_web_address
from incidents.ingest.cleaning import LABELS, NAME_LENGTH, TITLE_LENGTH, VALUE_LENGTH
from incidents.models import Alert, MaintenanceWindow, Service, Silence
from incidents.rules.matchers import OPS
from incidents.selectors.quiet import state_of
from incidents.services.quiet import MOST_MATCHERS, MOST_SERVICES
from incidents.states import QUIET_STATES, AlertSource, AlertStatus, Severity


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """An alert. `severity` is null where it is kept only; `held_until` says when it is looked at again."""

    source = serializers.ChoiceField(choices=AlertSource.choices)  # type: ignore[assignment]  # the contract's name
    status = serializers.ChoiceField(choices=AlertStatus.choices)
    severity = serializers.SerializerMethodField()
    labels = serializers.DictField(child=serializers.CharField())
    annotations = serializers.DictField(child=serializers.CharField())
    notes = serializers.ListField(child=serializers.CharField())
    service = serializers.SlugRelatedField[Service](slug_field="slug", read_only=True, allow_null=True)
    incident = serializers.SerializerMethodField()
    silenced_by = serializers.IntegerField(source="silenced_by_id", allow_null=True)
    maintenance = serializers.IntegerField(source="maintenance_id", allow_null=True)

    class Meta:
        model = Alert
        fields = (
            "id", "source", "fingerprint", "status", "title", "severity", "service", "incident", "labels",
            "annotations", "url", "starts_at", "ends_at", "received_at", "last_seen_at", "repeats",
            "silenced_by", "maintenance", "held_until", "ignored", "notes",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=Severity.choices, allow_null=True))
    def get_severity(self, alert: Alert) -> str | None:
        return alert.severity or None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_incident(self, alert: Alert) -> str | None:
        """Its reference, where the reader may see it."""
        return alert.incident.ref if alert.incident else None


class WebAddress(Line):
    """An http or https address."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if text and not is_web_address(text):
            raise serializers.ValidationError("Must be an http or https address.", code="invalid")
        return text


class Labels(serializers.DictField):
    """Names and texts, 64 at most."""

    child = Line(max_length=VALUE_LENGTH, allow_blank=True)

    def to_internal_value(self, data: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = super().to_internal_value(data)
        if len(found) > LABELS or any(not name or len(name) > NAME_LENGTH for name in found):
            raise serializers.ValidationError(
                f"At most {LABELS}, with names of 1 to {NAME_LENGTH} characters.", code="invalid"
            )
        return found


class ReportAlertSerializer(StrictSerializer):
    """Something fires, or has ended. Without `severity` the playbook decides by the labels."""

    title = Line(max_length=TITLE_LENGTH)
    severity = Choice(choices=Severity.choices, required=False, allow_null=True)
    service = Line(max_length=60, required=False, allow_null=True)
    status = Choice(choices=(AlertStatus.FIRING, AlertStatus.RESOLVED), required=False)
    fingerprint = Line(max_length=255, required=False, allow_blank=True)
    labels = Labels(required=False)
    annotations = Labels(required=False)
    starts_at = Moment(required=False, allow_null=True)
    ends_at = Moment(required=False, allow_null=True)
    url = WebAddress(max_length=2000, required=False, allow_blank=True)


class MatcherSerializer(StrictSerializer):
    """`op` is = (equal), != (unequal), =~ or !~ (a regular expression that fits the whole value, or not)."""

    label = Line(max_length=NAME_LENGTH)  # type: ignore[assignment]  # the contract's name
    op = Choice(choices=OPS)
    value = Line(max_length=VALUE_LENGTH, allow_blank=True)


class SilenceSerializer(serializers.ModelSerializer[Silence]):
    """A silence and how it stands."""

    matchers = MatcherSerializer(many=True)
    state = serializers.SerializerMethodField()

    class Meta:
        model = Silence
        fields = (
            "id",
            "matchers",
            "reason",
            "state",
            "starts_at",
            "ends_at",
            "created_by",
            "created_at",
            "ended_by",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=QUIET_STATES))
    def get_state(self, silence: Silence) -> str:
        return state_of(silence, utcnow())


class CreateSilenceSerializer(StrictSerializer):
    """Which alerts, until when and why; it begins now unless `starts_at` says otherwise."""

    matchers = serializers.ListField(child=MatcherSerializer(), min_length=1, max_length=MOST_MATCHERS)
    reason = Line(max_length=300)
    ends_at = Moment()
    starts_at = Moment(required=False, allow_null=True)


class WindowSerializer(serializers.ModelSerializer[MaintenanceWindow]):
    """A maintenance window and how it stands."""

    services = serializers.SlugRelatedField[Service](slug_field="slug", many=True, read_only=True)
    state = serializers.SerializerMethodField()

    class Meta:
        model = MaintenanceWindow
        fields = (
            "id",
            "services",
            "reason",
            "state",
            "starts_at",
            "ends_at",
            "created_by",
            "created_at",
            "ended_by",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=QUIET_STATES))
    def get_state(self, window: MaintenanceWindow) -> str:
        return state_of(window, utcnow())


class CreateWindowSerializer(StrictSerializer):
    """Which services (slugs), until when and why; it begins now unless `starts_at` says otherwise."""

    services = serializers.ListField(child=Line(max_length=60), min_length=1, max_length=MOST_SERVICES)
    reason = Line(max_length=300)
    ends_at = Moment()
    starts_at = Moment(required=False, allow_null=True)
