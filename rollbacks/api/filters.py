"""The query parameters of this app's lists."""

from __future__ import annotations

from rest_framework import serializers

from core.api.fields import Moment
from core.api.filters import DrillFilters, Filters
from rollbacks.states import DrillState, RollbackState, Trigger, Verdict


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
    """Which page of the board."""

    page = serializers.IntegerField(min_value=1, max_value=10_000, default=1)
