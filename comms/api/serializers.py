"""Shapes of contacts and messages."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from comms.models import Contact, Message, PublicUpdate
from comms.models.contacts import ContactKind
from comms.selectors.outbox import list_receipts
from comms.states import (
    EXTERNAL_TEMPLATES,
    INTERNAL_BY_HAND,
    PUBLIC,
    ComponentState,
    DeliveryState,
    MessageState,
    PublicImpact,
    PublicStatus,
    Template,
    Visibility,
)
from core.api.fields import Choice, Line, Moment, Text
from core.api.serializers import StrictSerializer
from incidents.states import AUDIENCES

BY_HAND = (*INTERNAL_BY_HAND, *EXTERNAL_TEMPLATES)


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
    visibility = serializers.ChoiceField(choices=Visibility.choices)
    audiences = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(choices=MessageState.choices)

    class Meta:
        model = Message
        fields = (
            "id", "template", "visibility", "audiences", "subject", "body", "state", "created_at",
            "finished_at",
        )  # fmt: skip
        read_only_fields = fields


class DeliverySerializer(serializers.Serializer[Any]):
    """What became of one delivery; a subscriber of the status page is never named."""

    id = serializers.IntegerField(source="pk")
    channel = serializers.CharField()
    recipient = serializers.CharField()
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    attempts = serializers.IntegerField()
    sent_at = serializers.DateTimeField(allow_null=True)
    receipt = serializers.CharField()
    last_error = serializers.CharField()


class PublicUpdateSerializer(serializers.ModelSerializer[PublicUpdate]):
    """What a message for users is made of, and puts on the status page."""

    status = serializers.ChoiceField(choices=PublicStatus.choices)
    impact = serializers.ChoiceField(choices=PublicImpact.choices)
    components = serializers.DictField(child=serializers.ChoiceField(choices=ComponentState.choices))

    class Meta:
        model = PublicUpdate
        fields = (
            "title", "status", "impact", "impact_text", "update_text", "root_cause", "expected_duration",
            "started_at", "resolved_at", "components", "published_at",
        )  # fmt: skip
        read_only_fields = fields


class MessageDetailSerializer(serializers.ModelSerializer[Message]):
    """One message with its deliveries; of those to subscribers the ones that were given up."""

    incident = serializers.CharField(source="incident.ref", allow_null=True, default=None)
    template = serializers.ChoiceField(choices=Template.choices)
    visibility = serializers.ChoiceField(choices=Visibility.choices)
    audiences = serializers.ListField(child=serializers.CharField())
    channels = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(choices=MessageState.choices)
    public = serializers.SerializerMethodField()
    deliveries = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields = (
            "id", "incident", "template", "visibility", "audiences", "channels", "subject", "body", "state",
            "drafted_by", "created_at", "approved_at", "finished_at", "public", "deliveries",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(PublicUpdateSerializer(allow_null=True))
    def get_public(self, message: Message) -> Any:
        """Null for a message for inside."""
        if message.visibility != Visibility.EXTERNAL:
            return None
        return PublicUpdateSerializer(message.public).data

    @extend_schema_field(DeliverySerializer(many=True))
    def get_deliveries(self, message: Message) -> Any:
        return DeliverySerializer(list_receipts(message), many=True).data


class PublicFieldsSerializer(StrictSerializer):
    """Words for users; what is left out is proposed, or stays as it is. `components` is {id: state}."""

    title = Line(max_length=200, required=False)
    status = Choice(choices=PublicStatus.choices, required=False)
    impact = Choice(choices=PublicImpact.choices, required=False)
    impact_text = Text(max_length=2_000, required=False, allow_blank=True)
    update_text = Text(max_length=10_000, required=False, allow_blank=True)
    root_cause = Text(max_length=2_000, required=False, allow_blank=True)
    expected_duration = Line(max_length=80, required=False, allow_blank=True)
    started_at = Moment(required=False)
    resolved_at = Moment(required=False, allow_null=True)
    components = serializers.DictField(
        child=Choice(choices=ComponentState.choices), required=False, allow_empty=False
    )


class EditMessageSerializer(PublicFieldsSerializer):
    """Other words for a draft. `body` is the whole text; left out, it follows the other fields."""

    body = Text(max_length=10_000, required=False)


class ComposeSerializer(PublicFieldsSerializer):
    """A message by hand. The audience `public` drafts one for users; any other tells contacts at once.

    For contacts `body` alone is a message of its own; for users it takes the place of the template's text.
    """

    template = Choice(choices=[(key.value, key.label) for key in BY_HAND], required=False)
    body = Text(max_length=10_000, required=False)
    audience = Choice(choices=(PUBLIC, *AUDIENCES))
    channels = serializers.ListField(child=Line(max_length=60), max_length=20, required=False)


class ChannelPreviewSerializer(serializers.Serializer[Any]):
    """What one channel would carry, and to how many."""

    channel = serializers.CharField()
    form = serializers.CharField()
    text = serializers.CharField()
    recipients = serializers.IntegerField()


class PreviewSerializer(serializers.Serializer[Any]):
    """A message as it would be; nothing is stored."""

    subject = serializers.CharField()
    body = serializers.CharField()
    recipients = serializers.IntegerField()
    channels = ChannelPreviewSerializer(many=True)
