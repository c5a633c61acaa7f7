"""The query parameters of this app's lists."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers

from core.api.fields import Moment
from core.api.filters import DRILLS, DrillFilters, Filters
from core.clock import utcnow
from incidents.models import Service
from incidents.models.quiet import in_force
from incidents.selectors.search import search_incidents
from incidents.states import (
    OPEN_STATUSES,
    UNFINISHED,
    ActionItemKind,
    ActionItemState,
    AlertSource,
    AlertStatus,
    EvidenceKind,
    IncidentKind,
    IncidentStatus,
    MonitorLevel,
    ReleaseState,
    ReportState,
    ReviewState,
    Severity,
    TaskState,
)

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
    """Only what came after an event that is known already, or only one kind."""

    after_seq = serializers.IntegerField(min_value=0, max_value=MAX_SEQ, required=False)
    kind = serializers.CharField(max_length=60, required=False)

    LOOKUPS = {"after_seq": "seq__gt", "kind": "kind"}


class ResponderFilters(Filters):
    """`active=true`: only those who still are on the incident."""

    active = serializers.BooleanField(required=False)

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        return rows.filter(until__isnull=asked["active"]) if "active" in asked else rows


class TaskFilters(Filters):
    """By state, and by the account that owns it."""

    state = serializers.ChoiceField(choices=TaskState.choices, required=False)
    owner = serializers.CharField(max_length=150, required=False)

    LOOKUPS = {"state": "state", "owner": "owner__username"}


class ReportFilters(Filters):
    """`overdue=true`: not published, and its time has come."""

    state = serializers.ChoiceField(choices=ReportState.choices, required=False)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    owner = serializers.CharField(max_length=150, required=False)
    overdue = serializers.BooleanField(required=False)

    LOOKUPS = {"state": "state", "severity": "incident__severity", "owner": "owner__username"}

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        if "overdue" in asked:
            late = ~Q(state=ReportState.PUBLISHED) & Q(due_at__lte=utcnow())
            rows = rows.filter(late if asked["overdue"] else ~late)
        return rows


class ActionItemFilters(Filters):
    """`owner=nobody`: what has none. `open=true`: not finished. `overdue=true`: and its day has ended."""

    state = serializers.ChoiceField(choices=ActionItemState.choices, required=False)
    open = serializers.BooleanField(required=False)
    overdue = serializers.BooleanField(required=False)
    owner = serializers.CharField(max_length=150, required=False)
    kind = serializers.ChoiceField(choices=ActionItemKind.choices, required=False)
    incident = serializers.CharField(max_length=24, required=False)
    service = serializers.CharField(max_length=60, required=False)
    review = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    drill = serializers.ChoiceField(choices=tuple(DRILLS), default="false")

    LOOKUPS = {"state": "state", "kind": "kind", "incident": "incident__ref", "review": "review"}

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        if asked["drill"] != "any":
            of_drill = Q(incident__drill=True)
            rows = rows.filter(of_drill if asked["drill"] == "true" else ~of_drill)
        if "owner" in asked:
            nobody = asked["owner"] == "nobody"
            rows = rows.filter(owner__isnull=True) if nobody else rows.filter(owner__username=asked["owner"])
        if "service" in asked:
            rows = rows.filter(incident__services=_service_id(asked["service"]))
        unfinished = Q(state__in=UNFINISHED)
        if "open" in asked:
            rows = rows.filter(unfinished if asked["open"] else ~unfinished)
        if "overdue" in asked:
            late = unfinished & Q(due_on__lt=utcnow().date())
            rows = rows.filter(late if asked["overdue"] else ~late | Q(due_on__isnull=True))
        return rows


class ReviewFilters(Filters):
    """By kind of the playbook, by state, and by the incident whose retrospective it is."""

    kind = serializers.CharField(max_length=60, required=False)
    state = serializers.ChoiceField(choices=ReviewState.choices, required=False)

    incident = serializers.CharField(max_length=24, required=False)

    LOOKUPS = {"kind": "kind", "state": "state", "incident": "incident__ref"}


class DocumentFilters(Filters):
    """`due=true`: those whose review is overdue."""

    due = serializers.BooleanField(required=False)

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        if "due" not in asked:
            return rows
        now = utcnow()
        return rows.filter(due_at__lte=now) if asked["due"] else rows.filter(due_at__gt=now)


class TrainingFilters(Filters):
    """By course and person; `current=true`: the last record of each person and course."""

    course = serializers.CharField(max_length=60, required=False)
    user = serializers.CharField(max_length=150, required=False)
    current = serializers.BooleanField(required=False)

    LOOKUPS = {"course": "course", "user": "user__username", "current": "current"}


class MatrixFilters(Filters):
    """Which page of people."""

    page = serializers.IntegerField(min_value=1, max_value=10_000, default=1)


class EvidenceFilters(Filters):
    """`withdrawn=false`: only what can be seen still."""

    kind = serializers.ChoiceField(choices=EvidenceKind.choices, required=False)
    withdrawn = serializers.BooleanField(required=False)

    LOOKUPS = {"kind": "kind"}

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        return rows.filter(withdrawal__isnull=not asked["withdrawn"]) if "withdrawn" in asked else rows


class ServiceFilters(Filters):
    """`search` looks into slug, name and public name."""

    environment = serializers.CharField(max_length=40, required=False)
    tier = serializers.IntegerField(min_value=0, max_value=32_767, required=False)
    auto_rollback = serializers.BooleanField(required=False)
    search = serializers.CharField(max_length=200, required=False)

    SEARCHED = ("slug", "name", "public_name")
    LOOKUPS = {"environment": "environment", "tier": "tier", "auto_rollback": "auto_rollback"}


class ReleaseFilters(Filters):
    """By state and version, and by when it was deployed."""

    state = serializers.ChoiceField(choices=ReleaseState.choices, required=False)
    version = serializers.CharField(max_length=100, required=False)
    deployed_after = Moment(required=False)
    deployed_before = Moment(required=False)

    LOOKUPS = {
        "state": "state",
        "version": "version",
        "deployed_after": "deployed_at__gte",
        "deployed_before": "deployed_at__lt",
    }


class MonitorFilters(Filters):
    """By service, metric and how it stands."""

    service = serializers.CharField(max_length=60, required=False)
    metric = serializers.CharField(max_length=60, required=False)
    level = serializers.ChoiceField(choices=MonitorLevel.choices, required=False)
    enabled = serializers.BooleanField(required=False)

    LOOKUPS = {"service": "service__slug", "metric": "metric", "level": "level", "enabled": "enabled"}


class AlertFilters(Filters):
    """`firing=true`: what has not ended; `held=true`: what a silence or maintenance holds back."""

    status = serializers.ChoiceField(choices=AlertStatus.choices, required=False)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    source = serializers.ChoiceField(choices=AlertSource.choices, required=False)  # type: ignore[assignment]
    service = serializers.CharField(max_length=60, required=False)
    fingerprint = serializers.CharField(max_length=255, required=False)
    firing = serializers.BooleanField(required=False)
    held = serializers.BooleanField(required=False)

    LOOKUPS = {"status": "status", "severity": "severity", "source": "source", "fingerprint": "fingerprint"}

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        if "firing" in asked:
            ended = Q(status=AlertStatus.RESOLVED)
            rows = rows.filter(~ended if asked["firing"] else ended)
        if "held" in asked:
            rows = rows.filter(held_until__isnull=not asked["held"])
        return rows.filter(service=_service_id(asked["service"])) if "service" in asked else rows


class QuietFilters(Filters):
    """`active=true`: what is in force now."""

    active = serializers.BooleanField(required=False)

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        if "active" not in asked:
            return rows
        active = in_force(utcnow())
        return rows.filter(active if asked["active"] else ~active)


class InboundFilters(Filters):
    """`parked=true`: what could not be handled and waits for a person."""

    parked = serializers.BooleanField(required=False)

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        return rows.filter(parked_at__isnull=not asked["parked"]) if "parked" in asked else rows


class SampleFilters(Filters):
    """A span of time: `after` is part of it, `before` is not."""

    after = Moment(required=False)
    before = Moment(required=False)

    LOOKUPS = {"after": "at__gte", "before": "at__lt"}


class RollupFilters(Filters):
    """A span of time by when the five minutes begin: `after` is part of it, `before` is not."""

    after = Moment(required=False)
    before = Moment(required=False)

    LOOKUPS = {"after": "start__gte", "before": "start__lt"}
