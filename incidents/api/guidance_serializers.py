"""Shapes of checklists and of the check of the criteria, in and out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import Line, Text, WholeNumber
from core.api.serializers import StrictSerializer
from incidents.rules.criteria import MOST_DEGRADED, NONE
from incidents.states import Tier

MOST_CRITERIA = 200


class ChecklistItemSerializer(serializers.Serializer[Any]):
    """One thing to do: its window, and who has done it. `overdue` ends when nobody asks for it any more."""

    key = serializers.CharField()
    name = serializers.CharField()
    text = serializers.CharField()
    starts_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    owner = serializers.CharField(allow_null=True)
    ticked_at = serializers.DateTimeField(allow_null=True)
    ticked_by = serializers.CharField(allow_null=True)
    note = serializers.CharField()
    overdue = serializers.BooleanField()


class ChecklistPhaseSerializer(serializers.Serializer[Any]):
    """One phase: its window and its items."""

    key = serializers.CharField()
    name = serializers.CharField()
    starts_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    items = ChecklistItemSerializer(many=True)


class ChecklistSerializer(serializers.Serializer[Any]):
    """One checklist; `asked_for` says whether what is open in it still matters."""

    key = serializers.CharField()
    name = serializers.CharField()
    asked_for = serializers.BooleanField()
    phases = ChecklistPhaseSerializer(many=True)


class TickSerializer(StrictSerializer):
    """What there is to say about it."""

    note = Text(required=False, allow_blank=True)


class AssignItemSerializer(StrictSerializer):
    """Whose it is: an account's name, null for nobody."""

    user = Line(max_length=150, allow_null=True)


class CriteriaSerializer(StrictSerializer):
    """The keys of the playbook's criteria that are the case, and a measured degradation."""

    criteria = serializers.ListField(child=Line(max_length=60), max_length=MOST_CRITERIA)
    degradation_percent = WholeNumber(required=False, allow_null=True, min_value=0, max_value=MOST_DEGRADED)


class RecommendationSerializer(serializers.Serializer[Any]):
    """The strongest tier that is met, all criteria that are, and the same in words."""

    recommendation = serializers.ChoiceField(choices=(*Tier.values, NONE))
    matched = serializers.ListField(child=serializers.CharField())
    text = serializers.CharField()
