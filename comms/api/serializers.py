"""Shapes of contacts and messages."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from comms.models import Contact, Message
from comms.models.contacts import ContactKind
from comms.states import MessageState, Template
from incidents.states import AUDIENCES


class ContactSerializer(serializers.ModelSerializer[Contact]):
    """Whom to call, and how."""

    kind = serializers.ChoiceField(choices=ContactKind.choices)
    role = serializers.CharField()
    audiences = serializers.ListField(child=serializers.ChoiceField(choices=AUDIENCES))
    user = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)

    class Meta:
        model = Contact
        fields = (
            "id",
            "name",
            "kind",
            "title",
            "role",
            "audiences",
            "email",
            "phone",
            "support_url",
            "user",
            "active",
        )
        read_only_fields = fields


class MessageSerializer(serializers.ModelSerializer[Message]):
    """What was said about one event of the incident."""

    template = serializers.ChoiceField(choices=Template.choices)
    audiences = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(choices=MessageState.choices)

    class Meta:
        model = Message
        fields = (
            "id", "template", "audiences", "subject", "body", "state", "created_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields
