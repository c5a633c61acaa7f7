"""Shapes of contacts and messages."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from comms.models import Contact, Message
from comms.models.contacts import ContactKind
from comms.states import Means, MessageState, Template
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


class ChannelSerializer(serializers.Serializer[Any]):
    """A way out of here: whether it is set up, and what came of it last."""

    key = serializers.CharField(read_only=True)
    kind = serializers.CharField(read_only=True)
    means = serializers.ChoiceField(
        choices=Means.choices,
        allow_blank=True,
        read_only=True,
        help_text="How it reaches persons; empty: a place.",
    )
    ready = serializers.BooleanField(
        read_only=True, help_text="Whether messages leave; else they are files on the server."
    )
    connection = serializers.CharField(read_only=True, help_text="The connection it needs; empty: none.")
    daily_limit = serializers.IntegerField(read_only=True, allow_null=True)
    last_sent_at = serializers.DateTimeField(read_only=True, allow_null=True)
    last_error = serializers.CharField(read_only=True, help_text="Empty when something was sent after it.")


class ChannelTestSerializer(serializers.Serializer[Any]):
    """What came of a test."""

    sent = serializers.BooleanField(read_only=True)
    receipt = serializers.CharField(
        read_only=True, help_text="What the other side said; empty when not sent."
    )
    reason = serializers.CharField(read_only=True, help_text="Why it did not leave; empty when sent.")


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
