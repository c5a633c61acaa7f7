"""Shapes of drills and of readiness, in and out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import Flag, Line, Moment, Text
from core.api.serializers import StrictSerializer
from core.clock import utcnow
from incidents.models import Service
from incidents.states import IncidentKind, Severity
from rollbacks.models import Drill
from rollbacks.selectors.drills import drill_url, list_injects, scorecard_of
from rollbacks.selectors.readiness import Readiness
from rollbacks.services.drill_planning import MOST_PARTICIPANTS
from rollbacks.services.drill_running import NOTES_LENGTH
from rollbacks.states import DrillAction, DrillResult, DrillState, InjectLook


class ScoreLineSerializer(serializers.Serializer[Any]):
    """One expected action; seconds count from the beginning. `took_seconds` is null until it is done."""

    action = serializers.ChoiceField(choices=DrillAction.choices)
    target_seconds = serializers.IntegerField()
    took_seconds = serializers.IntegerField(allow_null=True)
    result = serializers.ChoiceField(choices=DrillResult.choices)


class ScorecardSerializer(serializers.Serializer[Any]):
    """How a drill went: everything in time, and no step failed, is a pass."""

    passed = serializers.BooleanField()
    met = serializers.IntegerField()
    lines = ScoreLineSerializer(many=True)
    steps_failed = serializers.IntegerField()
    injects_sent = serializers.IntegerField()
    injects_answered = serializers.IntegerField()


class TargetsSerializer(serializers.Serializer[Any]):
    """Seconds from the beginning by when each expected action is done; what is not expected is left out."""

    def get_fields(self) -> dict[str, Any]:
        return {action.value: serializers.IntegerField(required=False) for action in DrillAction}

    def to_representation(self, targets: Any) -> dict[str, int]:
        return dict(targets)


class InjectSerializer(serializers.Serializer[Any]):
    """Something that the scenario has let happen."""

    at = serializers.DateTimeField()
    look = serializers.ChoiceField(choices=InjectLook.choices)
    text = serializers.CharField()


class ScenarioSerializer(serializers.Serializer[Any]):
    """A scenario of the playbook; what its `injects` say is found out in the drill."""

    key = serializers.CharField()
    name = serializers.CharField()
    practises = serializers.CharField()
    severity = serializers.ChoiceField(choices=Severity.choices)
    kind = serializers.ChoiceField(choices=IncidentKind.choices)
    security_level = serializers.IntegerField(allow_null=True)
    procedure = serializers.CharField(allow_null=True)
    targets = TargetsSerializer()
    longest_seconds = serializers.IntegerField()
    injects = serializers.IntegerField()


class DrillSerializer(serializers.ModelSerializer[Drill]):
    """A drill. `scorecard` is kept at its end; while it runs only its own address has it, as it fills."""

    service = serializers.SlugRelatedField[Service](slug_field="slug", read_only=True)
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=DrillState.choices)
    participants = serializers.SerializerMethodField()
    incident = serializers.SlugRelatedField[Any](slug_field="ref", read_only=True, allow_null=True)
    severity = serializers.SerializerMethodField()
    procedure = serializers.SerializerMethodField()
    targets = TargetsSerializer()
    scorecard = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Drill
        fields: tuple[str, ...] = (
            "id", "service", "scenario", "name", "state", "starts_at", "participants", "page_people",
            "severity", "procedure", "targets", "planned_by", "planned_at", "incident", "started_at",
            "deadline_at", "ended_at", "outcome", "scorecard", "notes", "url",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=Severity.choices))
    def get_severity(self, drill: Drill) -> str:
        return str(drill.plan["severity"])

    def get_procedure(self, drill: Drill) -> str | None:
        """What is rehearsed; null until it is over where the scenario names it: that would say too much."""
        if drill.plan["procedure"] and not drill.is_told:
            return None
        return str(drill.plan["procedure"] or drill.service.procedure)

    def get_url(self, drill: Drill) -> str:
        """The page for people."""
        return f"{settings.PUBLIC_URL}{drill_url(drill.pk)}"

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_participants(self, drill: Drill) -> list[str]:
        return sorted(user.get_username() for user in drill.participants.all())

    @extend_schema_field(ScorecardSerializer(allow_null=True))
    def get_scorecard(self, drill: Drill) -> Any:
        return drill.scorecard


class OneDrillSerializer(DrillSerializer):
    """A drill by itself, with its scorecard also while it runs, and what has happened in it."""

    injects = serializers.SerializerMethodField()

    class Meta(DrillSerializer.Meta):
        fields = (*DrillSerializer.Meta.fields, "injects")
        read_only_fields = fields

    @extend_schema_field(InjectSerializer(many=True))
    def get_injects(self, drill: Drill) -> Any:
        return InjectSerializer(list_injects(drill), many=True).data

    @extend_schema_field(ScorecardSerializer(allow_null=True))
    def get_scorecard(self, drill: Drill) -> Any:
        return scorecard_of(drill, now=utcnow())


class PlanDrillSerializer(StrictSerializer):
    """A scenario on a service; it begins within seconds unless `starts_at` says when."""

    service = Line(max_length=60)
    scenario = Line(max_length=60)
    starts_at = Moment(required=False, allow_null=True)
    participants = serializers.ListField(
        child=Line(max_length=150), required=False, max_length=MOST_PARTICIPANTS
    )
    page_people = Flag(required=False)


class CancelDrillSerializer(StrictSerializer):
    """Why it is not held."""

    reason = Line(max_length=500)


class FinishDrillSerializer(StrictSerializer):
    """What was learned; may be written later as well."""

    notes = Text(required=False, allow_blank=True, max_length=NOTES_LENGTH)


class DebriefSerializer(StrictSerializer):
    """What was learned."""

    notes = Text(max_length=NOTES_LENGTH)


class RehearsalSerializer(serializers.Serializer[Any]):
    """The last rehearsal of a service; `failed_step` is a position."""

    rollback = serializers.CharField(source="ref")
    procedure = serializers.CharField()
    ended_at = serializers.DateTimeField()
    succeeded = serializers.BooleanField()
    failed_step = serializers.IntegerField(allow_null=True)


class ReadinessSerializer(serializers.Serializer[Any]):
    """How ready a service is: rehearsed lately and well, with a verified target and a living runner."""

    service = serializers.CharField(source="slug")
    ready = serializers.BooleanField()
    rehearsal = RehearsalSerializer(allow_null=True)
    overdue = serializers.BooleanField()
    target = serializers.SerializerMethodField()
    runner = serializers.BooleanField()
    queue = serializers.CharField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_target(self, line: Readiness) -> str | None:
        return line.target or None
