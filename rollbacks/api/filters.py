"""The query parameters of this app's lists."""

from __future__ import annotations

import datetime as dt
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import Moment
from core.api.filters import DrillFilters, Filters
from incidents.states import Severity
from rollbacks.rules.insights import BY, WrongSpan, read_bound
from rollbacks.states import DrillState, LastRehearsal, RollbackState, Trigger, Verdict


class RollbackFilters(DrillFilters):
    """By state, service, incident and trigger, and by when it was requested."""

    state = serializers.ChoiceField(choices=RollbackState.choices, required=False)
    service = serializers.CharField(max_length=60, required=False)
    incident = serializers.CharField(max_length=24, required=False)
    trigger = serializers.ChoiceField(choices=Trigger.choices, required=False)
    requested_after = Moment(required=False)
    requested_before = Moment(required=False)

    LOOKUPS = {
        "state": "state",
        "service": "service__slug",
        "incident": "incident__ref",
        "trigger": "trigger",
        "requested_after": "requested_at__gte",
        "requested_before": "requested_at__lt",
    }


class DecisionFilters(Filters):
    """By service, incident, verdict and rollback, and by when it was decided."""

    service = serializers.CharField(max_length=60, required=False)
    incident = serializers.CharField(max_length=24, required=False)
    verdict = serializers.ChoiceField(choices=Verdict.choices, required=False)
    rollback = serializers.CharField(max_length=24, required=False)
    after = Moment(required=False)
    before = Moment(required=False)

    LOOKUPS = {
        "service": "service__slug",
        "incident": "incident__ref",
        "verdict": "verdict",
        "rollback": "rollback__ref",
        "after": "at__gte",
        "before": "at__lt",
    }


class DrillListFilters(Filters):
    """By state, service and scenario."""

    state = serializers.ChoiceField(choices=DrillState.choices, required=False)
    service = serializers.CharField(max_length=60, required=False)
    scenario = serializers.CharField(max_length=60, required=False)

    LOOKUPS = {"state": "state", "service": "service__slug", "scenario": "scenario"}


class ReadinessFilters(Filters):
    """By service, how its last rehearsal went and whether one is overdue; and which page of the board."""

    service = serializers.CharField(max_length=60, required=False)
    last = serializers.ChoiceField(choices=LastRehearsal.choices, required=False)
    overdue = serializers.BooleanField(required=False)
    page = serializers.IntegerField(min_value=1, max_value=10_000, default=1)


@extend_schema_field(
    {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
)
class Bound(serializers.Field[Any, Any, Any, Any]):
    """Where a span begins or ends: a day of UTC, which is part of it, or an RFC 3339 time."""

    def __init__(self, *, last: bool, **options: Any) -> None:
        self.last = last
        super().__init__(**options)

    def to_internal_value(self, value: Any) -> dt.datetime:
        try:
            return read_bound(str(value), last=self.last)
        except WrongSpan as error:
            raise serializers.ValidationError(str(error)) from error


class InsightFilters(Filters):
    """A span, and what counts in it; without `from`, the month under way and the eleven before it.

    `service` is a short name, or several with commas between.
    """

    service = serializers.CharField(max_length=1000, required=False)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    trigger = serializers.ChoiceField(choices=Trigger.choices, required=False)
    by = serializers.ChoiceField(choices=BY, required=False)

    def get_fields(self) -> dict[str, Any]:
        # `from` is no name that a class could have.
        span = {"from": Bound(last=False, required=False), "to": Bound(last=True, required=False)}
        return span | super().get_fields()
