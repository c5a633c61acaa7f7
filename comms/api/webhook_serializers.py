"""Shapes of outgoing webhooks, in and out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from comms.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from comms.selectors.webhooks import message_key, state_of
from comms.services.webhooks import MOST_KINDS
from comms.states import DeliveryState
from core.api.fields import Flag, Line, Moment
from core.api.serializers import StrictSerializer

STATES = ("well", "failing", "disabled")


class WebhookSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    """A webhook and how it stands; its secret is never shown again."""

    kinds = serializers.ListField(child=serializers.CharField())
    state = serializers.SerializerMethodField()

    class Meta:
        model = WebhookEndpoint
        fields = (
            "id",
            "url",
            "description",
            "kinds",
            "sees_restricted",
            "enabled",
            "state",
            "failures",
            "failing_since",
            "succeeded_at",
            "disabled_at",
            "disabled_why",
            "old_secret_until",
            "created_at",
            "created_by",
            "version",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=STATES))
    def get_state(self, endpoint: WebhookEndpoint) -> str:
        return state_of(endpoint)


class WebhookWithSecretSerializer(WebhookSerializer):
    """A webhook with its new secret: the one answer that has it; null in a repeat of that answer."""

    secret = serializers.CharField(allow_null=True)

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]


class EditWebhookSerializer(StrictSerializer):
    """Which events (`kinds`: kinds, or beginnings such as `incident.`; empty means every one) go where."""

    url = Line(max_length=2000, required=False)
    description = Line(max_length=200, required=False, allow_blank=True)
    kinds = serializers.ListField(child=Line(max_length=60), required=False, max_length=MOST_KINDS)
    sees_restricted = Flag(required=False)
    enabled = Flag(required=False)


class CreateWebhookSerializer(StrictSerializer):
    """As EditWebhook; it is enabled from the beginning."""

    url = Line(max_length=2000)
    description = Line(max_length=200, required=False, allow_blank=True)
    kinds = serializers.ListField(child=Line(max_length=60), required=False, max_length=MOST_KINDS)
    sees_restricted = Flag(required=False)


class WebhookAttemptSerializer(serializers.ModelSerializer[WebhookAttempt]):
    """One POST: what was answered, or why nothing was."""

    class Meta:
        model = WebhookAttempt
        fields = ("at", "status", "milliseconds", "error", "answer")
        read_only_fields = fields


class WebhookDeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    """One event for one webhook. `message` is its `webhook-id`; `event` is null for a test."""

    message = serializers.SerializerMethodField()
    event = serializers.IntegerField(source="event_id", allow_null=True)
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    log = WebhookAttemptSerializer(many=True)

    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "message",
            "event",
            "kind",
            "state",
            "attempts",
            "created_at",
            "due_at",
            "finished_at",
            "last_status",
            "last_error",
            "log",
        )
        read_only_fields = fields

    def get_message(self, delivery: WebhookDelivery) -> str:
        return message_key(delivery)


class ReplaySerializer(StrictSerializer):
    """From when on every event is sent again."""

    since = Moment()


class ReplayedSerializer(serializers.Serializer[Any]):
    """How many events are sent again."""

    events = serializers.IntegerField()
