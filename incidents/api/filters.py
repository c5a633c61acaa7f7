"""The query parameters of this app's lists."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers

from core.api.fields import Moment
from core.api.filters import DrillFilters, Filters
from incidents.models import Service
from incidents.selectors.search import search_incidents
from incidents.states import OPEN_STATUSES, IncidentKind, IncidentStatus, Severity

MAX_SEQ = 2**53


class IncidentFilters(DrillFilters):
    """`search` finds words by their beginning in reference, title, description and impact."""

    status = serializers.ChoiceField(choices=IncidentStatus.choices, required=False)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    kind = serializers.ChoiceField(choices=IncidentKind.choices, required=False)
    service = serializers.CharField(max_length=60, required=False)
    open = serializers.BooleanField(required=False)
    search = serializers.CharField(max_length=200, required=False)
    declared_after = Moment(required=False)
    declared_before = Moment(required=False)

    LOOKUPS = {
        "status": "status",
        "severity": "severity",
        "kind": "kind",
        "declared_after": "declared_at__gte",
        "declared_before": "declared_at__lt",
    }

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        rows = rows.filter(**{lookup: asked[name] for name, lookup in self.LOOKUPS.items() if name in asked})
        if "open" in asked:
            is_open = Q(status__in=OPEN_STATUSES)
            rows = rows.filter(is_open if asked["open"] else ~is_open)
        if "service" in asked:
            rows = rows.filter(services=_service_id(asked["service"]))
        return search_incidents(rows, asked["search"]) if "search" in asked else rows


def _service_id(slug: str) -> int:
    """Asked for on its own: only of a known service the database knows whether it has few or many."""
    found = Service.objects.filter(slug=slug).order_by().values_list("pk", flat=True)
    return next(iter(found), 0)


class TimelineFilters(Filters):
    """Only what came after an event that is known already."""

    after_seq = serializers.IntegerField(min_value=0, max_value=MAX_SEQ, required=False)

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        return rows.filter(seq__gt=asked["after_seq"]) if "after_seq" in asked else rows


class MonitorFilters(Filters):
    """The monitors of one service."""

    service = serializers.CharField(max_length=60, required=False)

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        return rows.filter(service__slug=asked["service"]) if "service" in asked else rows


class SampleFilters(Filters):
    """A span of time: `after` is part of it, `before` is not."""

    after = Moment(required=False)
    before = Moment(required=False)

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        if "after" in asked:
            rows = rows.filter(at__gte=asked["after"])
        return rows.filter(at__lt=asked["before"]) if "before" in asked else rows
