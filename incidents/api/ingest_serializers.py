"""Shapes of what other systems send, and of the answers that they expect."""

# ruff: noqa: N815 - the formats' own names

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import Choice, Line
from incidents.ingest import pagerduty
from incidents.ingest.alertmanager import MOST_ALERTS
from incidents.models import InboundDelivery
from incidents.states import InboundKind


class WebhookAlertSerializer(serializers.Serializer[Any]):
    """One alert. Its content is never refused: what cannot be kept as it was sent is cleaned and noted."""

    status = serializers.JSONField(required=False, help_text='"firing" or "resolved".')
    labels = serializers.JSONField(required=False, help_text="Names and texts.")
    annotations = serializers.JSONField(required=False, help_text="Names and texts.")
    startsAt = serializers.JSONField(required=False, help_text="RFC 3339.")
    endsAt = serializers.JSONField(required=False, help_text="RFC 3339; the zero time while it fires.")
    generatorURL = serializers.JSONField(required=False)
    fingerprint = serializers.JSONField(required=False, help_text="With startsAt, the alert's identity.")


class WebhookSerializer(serializers.Serializer[Any]):
    """Alertmanager's webhook, version 4, and Grafana's. Further fields are welcome."""

    version = serializers.JSONField(required=False)
    groupKey = serializers.JSONField(required=False)
    truncatedAlerts = serializers.JSONField(required=False)
    status = serializers.JSONField(required=False)
    receiver = serializers.JSONField(required=False)
    groupLabels = serializers.JSONField(required=False)
    commonLabels = serializers.JSONField(required=False)
    commonAnnotations = serializers.JSONField(required=False)
    externalURL = serializers.JSONField(required=False)
    alerts = serializers.ListField(child=WebhookAlertSerializer(), max_length=MOST_ALERTS)


class AcceptedSerializer(serializers.Serializer[Any]):
    """How many alerts are stored and will be looked into."""

    accepted = serializers.IntegerField()


class EventPayloadSerializer(serializers.Serializer[Any]):
    """What a PagerDuty event says; `summary` is needed to trigger."""

    summary = Line(max_length=None, required=False)
    source = serializers.JSONField(required=False)  # type: ignore[assignment]  # the format's name
    severity = serializers.JSONField(required=False, help_text="critical, error, warning or info.")
    timestamp = serializers.JSONField(required=False)
    component = serializers.JSONField(required=False)
    group = serializers.JSONField(required=False)
    custom_details = serializers.JSONField(required=False)


class EventSerializer(serializers.Serializer[Any]):
    """PagerDuty Events API v2. The routing key is a token with the scope `ingest`."""

    routing_key = serializers.CharField()
    event_action = Choice(choices=pagerduty.ACTIONS)
    dedup_key = serializers.CharField(required=False, allow_null=True)
    payload = EventPayloadSerializer(required=False, allow_null=True)
    client = serializers.JSONField(required=False)
    client_url = serializers.JSONField(required=False)
    links = serializers.JSONField(required=False)
    images = serializers.JSONField(required=False)


class ChangeEventSerializer(serializers.Serializer[Any]):
    """A PagerDuty change event. With `custom_details.service` and `.version` it records a release."""

    routing_key = serializers.CharField()
    payload = EventPayloadSerializer()
    links = serializers.JSONField(required=False)
    images = serializers.JSONField(required=False)


class ChangeAcceptedSerializer(serializers.Serializer[Any]):
    """As PagerDuty answers."""

    status = serializers.CharField()
    message = serializers.CharField()


class EventAcceptedSerializer(ChangeAcceptedSerializer):
    """As PagerDuty answers; `dedup_key` is the event's own, or one that was made for it."""

    dedup_key = serializers.CharField()


class EventRefusedSerializer(serializers.Serializer[Any]):
    """As PagerDuty refuses: each error in a sentence."""

    status = serializers.CharField()
    message = serializers.CharField()
    errors = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]  # the format's name


class InboundSerializer(serializers.ModelSerializer[InboundDelivery]):
    """A delivery that could not be handled, or what came of one; never what it said."""

    kind = serializers.ChoiceField(choices=InboundKind.choices)
    sender = serializers.CharField(source="label")

    class Meta:
        model = InboundDelivery
        fields = (
            "id", "kind", "sender", "size", "received_at", "processed_at", "parked_at", "attempts",
            "last_error", "outcome",
        )  # fmt: skip
        read_only_fields = fields
