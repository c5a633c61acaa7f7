"""Shapes of the figures."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from incidents.states import Severity
from rollbacks.rules.insights import BY
from rollbacks.states import Trigger


class FiguresSerializer(serializers.Serializer[Any]):
    """What was counted and measured, drills left out. Null where there is nothing to divide by.

    A month's `rollback_frequency_per_month` is its rollbacks, also of the month under way.
    """

    incidents = serializers.IntegerField()
    acknowledged = serializers.IntegerField()
    mtta_seconds = serializers.FloatField(allow_null=True)
    mtta_median_seconds = serializers.FloatField(allow_null=True)
    resolved = serializers.IntegerField()
    mttr_seconds = serializers.FloatField(allow_null=True)
    mttr_median_seconds = serializers.FloatField(allow_null=True)
    responses_due = serializers.IntegerField()
    responses_in_time = serializers.IntegerField()
    response_attainment = serializers.FloatField(allow_null=True)
    rollbacks = serializers.IntegerField()
    rollback_frequency_per_month = serializers.FloatField(allow_null=True)
    rollbacks_decided = serializers.IntegerField()
    rollbacks_succeeded = serializers.IntegerField()
    rollback_success_rate = serializers.FloatField(allow_null=True)
    mean_time_to_rollback_seconds = serializers.FloatField(allow_null=True)
    median_time_to_rollback_seconds = serializers.FloatField(allow_null=True)
    judged = serializers.IntegerField()
    judged_false = serializers.IntegerField()
    false_positive_rate = serializers.FloatField(allow_null=True)


class MonthSerializer(FiguresSerializer):
    """A month of UTC as `2026-11`; the first and the last may be covered in part."""

    month = serializers.CharField()


class GroupSerializer(FiguresSerializer):
    """The figures of one severity, service or trigger; `none` is what has no service."""

    key = serializers.CharField()


class _Span(FiguresSerializer):
    """Figures with the span they are of: `from` is part of it, `to` is not."""

    def get_fields(self) -> dict[str, Any]:
        ends = {"from": serializers.DateTimeField(), "to": serializers.DateTimeField()}
        return ends | super().get_fields()


class PreviousSerializer(_Span):
    """The figures of the span of the same length before."""


class InsightsSerializer(_Span):
    """The figures of a span, of its months, and of each severity, service or trigger where `by` asks."""

    service = serializers.CharField(allow_null=True)
    severity = serializers.ChoiceField(choices=Severity.choices, allow_null=True)
    trigger = serializers.ChoiceField(choices=Trigger.choices, allow_null=True)
    by = serializers.ChoiceField(choices=BY, allow_null=True)
    months = serializers.FloatField()
    previous = PreviousSerializer()
    monthly = MonthSerializer(many=True)
    groups = GroupSerializer(many=True)
