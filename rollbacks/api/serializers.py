"""Shapes of rollbacks, procedures and the switch of automation, in and out."""

from __future__ import annotations

from typing import Any, get_args

from rest_framework import serializers

from core.api.fields import Flag, Line, Text, WholeNumber
from core.api.serializers import StrictSerializer
from incidents.states import MonitorLevel
from rollbacks.models import Approval, AutomationSwitch, Decision, Rollback, RollbackStep
from rollbacks.playbook import STEP_KINDS, Returns
from rollbacks.states import ApprovalDecision, BreachCheck, Phase, RollbackState, StepState, Trigger, Verdict

EFFECTS = ("automatic", "with_approval", "none")
WEEK_SECONDS = 7 * 86_400


class StepSerializer(serializers.ModelSerializer[RollbackStep]):
    """One step; `output_tail` is the last 64 KiB of what its command printed."""

    phase = serializers.ChoiceField(choices=Phase.choices)
    kind = serializers.ChoiceField(choices=STEP_KINDS)
    state = serializers.ChoiceField(choices=StepState.choices)

    class Meta:
        model = RollbackStep
        fields = (
            "position", "phase", "key", "name", "kind", "mutating", "state", "attempt",
            "started_at", "finished_at", "exit_code", "output_tail", "note",
        )  # fmt: skip
        read_only_fields = fields


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    """What one person decided, and in which role."""

    user = serializers.CharField(source="user.username")
    decision = serializers.ChoiceField(choices=ApprovalDecision.choices)

    class Meta:
        model = Approval
        fields = ("user", "decision", "role", "reason", "decided_at")
        read_only_fields = fields


class RollbackSerializer(serializers.ModelSerializer[Rollback]):
    """A rollback of `rollback_records`. `attention` says why a person must decide.

    `parent` is the one that it undoes or took over from. Where `returns` is not the version,
    `from_version` and `target_version` are the same. `monitor` is the one that made automation ask;
    `breach_check` says whether later measurements confirmed it, empty where none were needed.
    """

    incident = serializers.SlugRelatedField[Any](slug_field="ref", read_only=True)
    service = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    parent = serializers.SlugRelatedField[Any](slug_field="ref", read_only=True, allow_null=True)  # type: ignore[assignment]
    returns = serializers.ChoiceField(choices=get_args(Returns))
    trigger = serializers.ChoiceField(choices=Trigger.choices)
    breach_check = serializers.ChoiceField(choices=BreachCheck.choices, allow_blank=True)
    state = serializers.ChoiceField(choices=RollbackState.choices)
    parameters = serializers.DictField(child=serializers.CharField())
    duration_seconds = serializers.SerializerMethodField()
    approvals = ApprovalSerializer(many=True)
    steps = StepSerializer(many=True)

    class Meta:
        model = Rollback
        fields = (
            "ref", "incident", "service", "parent", "procedure", "procedure_digest", "returns", "queue",
            "people", "break_glass", "trigger", "monitor", "breach_check", "state",
            "from_version", "target_version", "parameters", "reason", "expected_duration_seconds",
            "expected_impact", "requested_by", "requested_at", "approval_expires_at",
            "started_at", "completed_at", "duration_seconds", "cancel_requested_at", "attention",
            "drill", "outcome", "false_positive", "judged_by", "judged_at", "judged_reason",
            "approvals", "steps",
        )  # fmt: skip
        read_only_fields = fields

    def get_duration_seconds(self, rollback: Rollback) -> float | None:
        """From its first step to its end; null until then."""
        if rollback.started_at is None or rollback.completed_at is None:
            return None
        return round((rollback.completed_at - rollback.started_at).total_seconds(), 3)


class RequestRollbackSerializer(StrictSerializer):
    """What is asked for. Without `target_version`: the newest verified good release."""

    incident = Line(max_length=24)
    service = Line(max_length=60)
    procedure = Line(max_length=60, required=False, allow_blank=True)
    target_version = Line(max_length=100, required=False, allow_blank=True)
    parameters = serializers.DictField(child=Line(max_length=500), required=False)
    reason = Text()
    expected_duration_seconds = WholeNumber(
        min_value=1, max_value=WEEK_SECONDS, required=False, allow_null=True
    )
    expected_impact = Text(required=False, allow_blank=True, allow_null=True)


class EditRollbackSerializer(StrictSerializer):
    """What is to be different; parameters that are not named stay as they are."""

    target_version = Line(max_length=100, required=False)
    parameters = serializers.DictField(child=Line(max_length=500), required=False)
    reason = Text(required=False)
    expected_duration_seconds = WholeNumber(min_value=1, max_value=WEEK_SECONDS, required=False)
    expected_impact = Text(required=False, allow_blank=True)


class ConfirmSerializer(StrictSerializer):
    """Yes, and what there is to say."""

    note = Text(max_length=500, required=False, allow_blank=True)


class HandOverSerializer(StrictSerializer):
    """Where the rollback that takes over goes, and why."""

    target_version = Line(max_length=100)
    reason = Text()


class JudgeSerializer(StrictSerializer):
    """Whether a rollback that is over was necessary, and why one thinks so."""

    false_positive = Flag()
    reason = Text()


class ProcedureStepSerializer(serializers.Serializer[Any]):
    """One step as the playbook declares it; its command is shown nowhere."""

    phase = serializers.ChoiceField(choices=Phase.choices)
    key = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=STEP_KINDS)
    mutating = serializers.BooleanField()


class ParameterSerializer(serializers.Serializer[Any]):
    """A value that a rollback may be given."""

    pattern = serializers.CharField()
    default = serializers.CharField(allow_null=True)


class ProcedureSerializer(serializers.Serializer[Any]):
    """A procedure of the playbook."""

    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    digest = serializers.CharField()
    expected_duration_seconds = serializers.FloatField()
    expected_impact = serializers.CharField()
    parameters = serializers.DictField(child=ParameterSerializer())
    steps = ProcedureStepSerializer(many=True)


class ReasonedSerializer(serializers.Serializer[Any]):
    """Why: `code` is stable, `text` is for people."""

    code = serializers.CharField()
    text = serializers.CharField()


class EvidenceSerializer(serializers.Serializer[Any]):
    """What was known at that moment; what nobody asked about is left out."""

    level = serializers.ChoiceField(choices=MonitorLevel.choices, required=False)
    effect = serializers.ChoiceField(choices=EFFECTS, required=False)
    value = serializers.FloatField(required=False, allow_null=True)
    measured_at = serializers.DateTimeField(required=False, allow_null=True)
    catastrophic = serializers.BooleanField(required=False)
    procedure = serializers.CharField(required=False)
    live_version = serializers.CharField(required=False, allow_null=True)
    live_deployed_at = serializers.DateTimeField(required=False, allow_null=True)
    live_age_seconds = serializers.IntegerField(required=False, allow_null=True)
    recent_release_seconds = serializers.IntegerField(required=False)
    target_version = serializers.CharField(required=False, allow_null=True)
    armed = serializers.BooleanField(required=False)
    auto_rollback = serializers.BooleanField(required=False)
    live_rollback = serializers.CharField(required=False, allow_null=True)
    last_rollback = serializers.CharField(required=False, allow_null=True)
    last_rollback_ended_at = serializers.DateTimeField(required=False, allow_null=True)
    cooldown_seconds = serializers.IntegerField(required=False)
    started_in_24_hours = serializers.IntegerField(required=False)
    started_in_24_hours_allowed = serializers.IntegerField(required=False)
    running = serializers.IntegerField(required=False)
    running_allowed = serializers.IntegerField(required=False)
    started_in_ten_minutes = serializers.IntegerField(required=False)
    started_in_ten_minutes_allowed = serializers.IntegerField(required=False)
    false_positives = serializers.IntegerField(required=False)
    false_positives_allowed = serializers.IntegerField(required=False)
    freeze = serializers.CharField(required=False, allow_null=True)
    maintenance = serializers.CharField(required=False, allow_null=True)
    critical = serializers.IntegerField(required=False)
    measured = serializers.IntegerField(required=False)
    critical_needed = serializers.IntegerField(required=False)


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """What automation decided about a service that exceeded a threshold, and why.

    `monitor` is the one that measured it, even where that is removed by now.
    """

    service = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    incident = serializers.SlugRelatedField[Any](slug_field="ref", read_only=True)
    rollback = serializers.SlugRelatedField[Any](slug_field="ref", read_only=True, allow_null=True)
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    reasons = ReasonedSerializer(many=True)
    evidence = EvidenceSerializer()

    class Meta:
        model = Decision
        fields = (
            "at",
            "service",
            "incident",
            "monitor",
            "metric",
            "verdict",
            "reasons",
            "evidence",
            "rollback",
        )
        read_only_fields = fields


class AutomationSerializer(serializers.ModelSerializer[AutomationSwitch]):
    """The one switch of all automation."""

    class Meta:
        model = AutomationSwitch
        fields = ("armed", "reason", "changed_at", "changed_by")
        read_only_fields = fields
