"""The query parameters of this app's lists."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from core.api.filters import DrillFilters
from rollbacks.states import RollbackState, Trigger


class RollbackFilters(DrillFilters):
    """By state, service, incident and trigger."""

    state = serializers.ChoiceField(choices=RollbackState.choices, required=False)
    service = serializers.CharField(max_length=60, required=False)
    incident = serializers.CharField(max_length=24, required=False)
    trigger = serializers.ChoiceField(choices=Trigger.choices, required=False)

    LOOKUPS = {
        "state": "state",
        "service": "service__slug",
        "incident": "incident__ref",
        "trigger": "trigger",
    }

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        return rows.filter(**{lookup: asked[name] for name, lookup in self.LOOKUPS.items() if name in asked})
