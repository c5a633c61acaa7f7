"""The query parameters of this app's lists."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from comms.models.contacts import ContactKind
from comms.states import DeliveryState, MessageState, Template
from core.api.filters import Filters
from incidents.states import AUDIENCES, Role


class ContactFilters(Filters):
    """`search` looks into name, title, e-mail address and phone number."""

    kind = serializers.ChoiceField(choices=ContactKind.choices, required=False)
    role = serializers.ChoiceField(choices=Role.choices, required=False)
    audience = serializers.ChoiceField(choices=AUDIENCES, required=False)
    active = serializers.BooleanField(required=False)
    search = serializers.CharField(max_length=200, required=False)

    SEARCHED = ("name", "title", "email", "phone")
    LOOKUPS = {"kind": "kind", "role": "role", "active": "active"}

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        rows = super().apply(rows, asked)
        return rows.filter(audiences__contains=[asked["audience"]]) if "audience" in asked else rows


class MessageFilters(Filters):
    """By template and state."""

    template = serializers.ChoiceField(choices=Template.choices, required=False)
    state = serializers.ChoiceField(choices=MessageState.choices, required=False)

    LOOKUPS = {"template": "template", "state": "state"}


class WebhookFilters(Filters):
    """By whether they are enabled."""

    enabled = serializers.BooleanField(required=False)

    LOOKUPS = {"enabled": "enabled"}


class WebhookDeliveryFilters(Filters):
    """By state and kind of event."""

    state = serializers.ChoiceField(choices=DeliveryState.choices, required=False)
    kind = serializers.CharField(max_length=60, required=False)

    LOOKUPS = {"state": "state", "kind": "kind"}


class ImportParameters(Filters):
    """`apply=true` stores it; without, the sheet is only looked at."""

    apply = serializers.BooleanField(required=False, default=False)  # type: ignore[assignment]  # the contract's name
