"""Shapes of action items, in and out."""

from __future__ import annotations

from django.conf import settings
from rest_framework import serializers

from core.api.fields import Choice, Day, Line, Text, WholeNumber
from core.api.serializers import StrictSerializer
from core.clock import utcnow
from incidents.models import ActionItem
from incidents.selectors.action_items import action_item_url
from incidents.services.action_items import TEXT_LENGTH
from incidents.states import UNFINISHED, ActionItemKind, ActionItemState


class ActionItemSerializer(serializers.ModelSerializer[ActionItem]):
    """One action item; `incident` is null where it belongs to none, `review` where it comes from none;
    `overdue`: its day has ended in UTC.
    """

    incident = serializers.SerializerMethodField()
    review = serializers.IntegerField(source="review_id", allow_null=True)
    kind = serializers.ChoiceField(choices=ActionItemKind.choices)
    owner = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=ActionItemState.choices)
    overdue = serializers.SerializerMethodField()
    finished_by = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = ActionItem
        fields = (
            "id", "incident", "review", "kind", "title", "description", "owner", "due_on", "state", "overdue",
            "created_at", "created_by", "finished_at", "finished_by", "finished_note", "url",
        )  # fmt: skip

    def get_incident(self, item: ActionItem) -> str | None:
        return item.incident.ref if item.incident else None

    def get_owner(self, item: ActionItem) -> str | None:
        return item.owner.get_username() if item.owner else None

    def get_overdue(self, item: ActionItem) -> bool:
        return item.is_overdue(utcnow())

    def get_finished_by(self, item: ActionItem) -> str | None:
        return item.finished_by or None

    def get_url(self, item: ActionItem) -> str:
        return f"{settings.PUBLIC_URL}{action_item_url(item.pk)}"


class CreateActionItemSerializer(StrictSerializer):
    """What is to be done, of which incident or from which review (null is of none), by whom and until which
    day.
    """

    title = Line(max_length=200)
    incident = Line(max_length=24, required=False, allow_null=True)
    review = WholeNumber(min_value=1, max_value=2**63 - 1, required=False, allow_null=True)
    kind = Choice(choices=ActionItemKind.choices, required=False)
    description = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    owner = Line(max_length=150, required=False, allow_null=True)
    due_on = Day(required=False, allow_null=True)


class EditActionItemSerializer(StrictSerializer):
    """What shall be different; null is nobody, or no day."""

    title = Line(max_length=200, required=False)
    kind = Choice(choices=ActionItemKind.choices, required=False)
    description = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
    owner = Line(max_length=150, required=False, allow_null=True)
    due_on = Day(required=False, allow_null=True)
    state = Choice(choices=[(state.value, state.label) for state in UNFINISHED], required=False)


class CompleteSerializer(StrictSerializer):
    """What there is to say about it."""

    note = Text(max_length=TEXT_LENGTH, required=False, allow_blank=True)
