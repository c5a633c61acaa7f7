"""Shapes of services, releases, monitors and samples, in and out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import Choice, Flag, Line, Moment, Number, WholeNumber
from core.api.serializers import StrictSerializer
from incidents.models import Monitor, Release, Rollup, Sample, Service
from incidents.models.services import slug_validator
from incidents.states import FailureKind, MonitorLevel, OnMonitoringFailure, ReleaseState, SampleOutcome


class ServiceSerializer(serializers.ModelSerializer[Service]):
    """A service in one environment."""

    class Meta:
        model = Service
        fields = ("slug", "name", "environment", "tier", "procedure", "auto_rollback", "public_name")
        read_only_fields = fields


class CreateServiceSerializer(StrictSerializer):
    """What is watched over. `procedure` is a key of the playbook."""

    slug = Line(max_length=60, validators=[slug_validator])
    name = Line(max_length=120)
    environment = Line(max_length=40, required=False)
    tier = WholeNumber(min_value=0, max_value=32_767, required=False, allow_null=True)
    procedure = Line(max_length=60, required=False, allow_blank=True)
    auto_rollback = Flag(required=False)
    public_name = Line(max_length=120, required=False, allow_blank=True)


class EditServiceSerializer(StrictSerializer):
    """What is to be different; the slug stays."""

    name = Line(max_length=120, required=False)
    environment = Line(max_length=40, required=False)
    tier = WholeNumber(min_value=0, max_value=32_767, required=False, allow_null=True)
    procedure = Line(max_length=60, required=False, allow_blank=True)
    auto_rollback = Flag(required=False)
    public_name = Line(max_length=120, required=False, allow_blank=True)


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    """One version as it was deployed. `good` may be returned to."""

    state = serializers.ChoiceField(choices=ReleaseState.choices)

    class Meta:
        model = Release
        fields = (
            "version", "state", "commit", "artifact", "schema_version", "security_baseline",
            "deployed_at", "recorded_at", "good_at", "quarantined_at", "quarantine_reason",
        )  # fmt: skip
        read_only_fields = fields


class RecordReleaseSerializer(StrictSerializer):
    """A version that was deployed: it becomes live."""

    version = Line(max_length=100)
    commit = Line(max_length=64, required=False, allow_blank=True)
    artifact = Line(max_length=500, required=False, allow_blank=True)
    schema_version = Line(max_length=100, required=False, allow_blank=True)
    security_baseline = Flag(required=False)
    deployed_at = Moment(required=False, allow_null=True)


class SourceSerializer(serializers.DictField):
    """Where the measurements come from, such as `{"type": "prometheus", "url": "…", "query": "…"}`.

    `type` names the kind; which other fields there are, and what they may hold, is the kind's own:
    `http_json` has `url`, `path` and `volume_path`, `prometheus` `url`, `query` and `volume_query`,
    `http_probe` `url` and `measure`, `push` nothing: samples are sent in.
    """

    child = Line(max_length=2000)


class ThresholdsSerializer(StrictSerializer):
    """A value above one is at that level; at least one is given, and they rise.

    With `direction: "below"` less is worse, and they fall.
    """

    warning = Number(min_value=0, required=False)
    high = Number(min_value=0, required=False)
    critical = Number(min_value=0, required=False)
    catastrophic = Number(min_value=0, required=False)
    direction = Choice(choices=("above", "below"), required=False)
    min_volume = WholeNumber(min_value=1, max_value=1_000_000_000, required=False)


class MonitorSerializer(serializers.ModelSerializer[Monitor]):
    """A metric of a service and how it stands."""

    service = serializers.SlugRelatedField[Service](slug_field="slug", read_only=True)
    source = SourceSerializer()  # type: ignore[assignment]  # the contract's name
    thresholds = ThresholdsSerializer(allow_null=True)
    on_monitoring_failure = serializers.CharField()
    level = serializers.ChoiceField(choices=MonitorLevel.choices)
    value = serializers.FloatField(source="last_value", allow_null=True)

    class Meta:
        model = Monitor
        fields = (
            "id", "service", "metric", "source", "interval_seconds", "thresholds", "policy",
            "on_monitoring_failure", "enabled", "level", "level_since", "value", "checked_at",
            "answered_at", "last_error",
        )  # fmt: skip
        read_only_fields = fields


class CreateMonitorSerializer(StrictSerializer):
    """What is measured. Own `thresholds` replace the policy's."""

    service = Line(max_length=60)
    metric = Line(max_length=60)
    source = SourceSerializer()  # type: ignore[assignment]  # the contract's name
    interval_seconds = WholeNumber(min_value=1, max_value=86_400, required=False)
    thresholds = ThresholdsSerializer(required=False, allow_null=True)
    policy = Line(max_length=60, required=False)
    on_monitoring_failure = Choice(choices=OnMonitoringFailure.choices, required=False)
    enabled = Flag(required=False)


class EditMonitorSerializer(StrictSerializer):
    """What is to be different; the service and the metric stay. `enabled: false` pauses measuring."""

    source = SourceSerializer(required=False)  # type: ignore[assignment]  # the contract's name
    interval_seconds = WholeNumber(min_value=1, max_value=86_400, required=False)
    thresholds = ThresholdsSerializer(required=False, allow_null=True)
    policy = Line(max_length=60, required=False)
    on_monitoring_failure = Choice(choices=OnMonitoringFailure.choices, required=False)
    enabled = Flag(required=False)


class SampleSerializer(serializers.ModelSerializer[Sample]):
    """One measurement; `value` is null when there was no data or no answer, and `failure` says why not."""

    failure = serializers.ChoiceField(choices=FailureKind.choices, allow_blank=True)
    outcome = serializers.ChoiceField(choices=SampleOutcome.choices)
    level = serializers.ChoiceField(choices=MonitorLevel.choices)

    class Meta:
        model = Sample
        fields = ("at", "value", "outcome", "failure", "level")
        read_only_fields = fields


class PushedSampleSerializer(StrictSerializer):
    """A measurement that is sent in; `value` null says that there is none. `at` is now where it is left out.

    `volume` is how many requests the value is made of, for `min_volume`.
    """

    value = Number(allow_null=True)
    at = Moment(required=False)
    volume = Number(min_value=0, required=False)


class AcceptedSamplesSerializer(serializers.Serializer[Any]):
    """How many of the samples had not been sent before."""

    accepted = serializers.IntegerField()


class RollupSerializer(serializers.ModelSerializer[Rollup]):
    """Five minutes of samples; `min`, `max` and `mean` are null when none had a value.

    `level` is the worst of those that had one, `unknown` when none had.
    """

    min = serializers.FloatField(source="low", allow_null=True)
    max = serializers.FloatField(source="high", allow_null=True)
    mean = serializers.FloatField(allow_null=True)
    level = serializers.ChoiceField(choices=MonitorLevel.choices)

    class Meta:
        model = Rollup
        fields = ("start", "samples", "measured", "unanswered", "min", "max", "mean", "level")
        read_only_fields = fields


class MonitorHealthSerializer(serializers.ModelSerializer[Monitor]):
    """How one metric stands."""

    level = serializers.ChoiceField(choices=MonitorLevel.choices)
    value = serializers.FloatField(source="last_value", allow_null=True)

    class Meta:
        model = Monitor
        fields = ("id", "metric", "level", "level_since", "value", "checked_at", "last_error")
        read_only_fields = fields


class HealthSerializer(serializers.Serializer[Any]):
    """How a service stands: its live version and its enabled monitors."""

    service = serializers.CharField()
    live_version = serializers.CharField(allow_null=True)
    monitors = MonitorHealthSerializer(many=True)
