"""Shapes of contacts and messages."""

from __future__ import annotations

import re
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
    Means,
    MessageState,
    PublicImpact,
    PublicStatus,
    Template,
    Visibility,
)
from core.api.fields import Choice, Flag, Line, Moment, Text
from core.api.serializers import StrictSerializer
from incidents.states import AUDIENCES, Role

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")

BY_HAND_CHOICES = [(key.value, key.label) for key in (*INTERNAL_BY_HAND, *EXTERNAL_TEMPLATES)]


class ContactSerializer(serializers.ModelSerializer[Contact]):
    """Whom to call, and how."""

    kind = serializers.ChoiceField(choices=ContactKind.choices)
    role = serializers.CharField()
    audiences = serializers.ListField(child=serializers.ChoiceField(choices=AUDIENCES))
    reach = serializers.ListField(child=serializers.ChoiceField(choices=Means.choices))
    quiet_from = serializers.TimeField(format="%H:%M", allow_null=True)
    quiet_until = serializers.TimeField(format="%H:%M", allow_null=True)
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
            "chat",
            "time_zone",
            "reach",
            "quiet_from",
            "quiet_until",
            "support_url",
            "user",
            "active",
        )
        read_only_fields = fields


class Clock(Line):
    """A time of day, `22:00`."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not _CLOCK.fullmatch(text):
            raise serializers.ValidationError("Give hours and minutes, such as 22:00.", code="invalid")
        return text


class EditContactSerializer(StrictSerializer):
    """Whom to call. `reach` is best first; `user` is the name of an account."""

    name = Line(max_length=120, required=False)
    kind = Choice(choices=ContactKind.choices, required=False)
    title = Line(max_length=120, required=False, allow_blank=True)
    role = Choice(choices=[*Role.choices, ("", "None")], required=False)
    audiences = serializers.ListField(child=Choice(choices=AUDIENCES), required=False, max_length=20)
    email = Line(max_length=254, required=False, allow_blank=True)
    phone = Line(max_length=30, required=False, allow_blank=True)
    chat = Line(max_length=80, required=False, allow_blank=True)
    time_zone = Line(max_length=60, required=False)
    reach = serializers.ListField(child=Choice(choices=Means.choices), required=False, max_length=10)
    quiet_from = Clock(required=False, allow_null=True)
    quiet_until = Clock(required=False, allow_null=True)
    support_url = Line(max_length=200, required=False, allow_blank=True)
    user = Line(max_length=150, required=False, allow_null=True)
    active = Flag(required=False)


class CreateContactSerializer(EditContactSerializer):
    """As EditContact, with a name."""

    name = Line(max_length=120)


class WrongSerializer(serializers.Serializer[Any]):
    """What is wrong in one cell; row 1 is the header."""

    row = serializers.IntegerField()
    column = serializers.CharField()
    detail = serializers.CharField()


class ImportedSerializer(serializers.Serializer[Any]):
    """What a sheet came to; unless `applied`, nothing was stored."""

    applied = serializers.BooleanField()
    created = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    wrong = WrongSerializer(many=True)


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

    template = Choice(choices=BY_HAND_CHOICES, required=False)
    body = Text(max_length=10_000, required=False)
    audience = Choice(choices=(PUBLIC, *AUDIENCES))
    channels = serializers.ListField(child=Line(max_length=60), max_length=20, required=False)


class PageForRoleSerializer(serializers.Serializer[Any]):
    """What those who are paged read besides which role is needed."""

    reason = Line(max_length=200, required=False)


class PagedForRoleSerializer(serializers.Serializer[Any]):
    """Who was paged, by name."""

    role = serializers.CharField()
    paged = serializers.ListField(child=serializers.CharField())


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
