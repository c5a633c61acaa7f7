"""Who has been told about an incident, with a receipt for each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from comms.models import Delivery, Message
from comms.states import DeliveryState, Template
from incidents.models import Incident

MESSAGES = 10
DELIVERIES = 20


@dataclass(frozen=True)
class DeliveryLine:
    """One recipient of a message."""

    channel: str
    recipient: str
    state: str
    state_label: str
    at: dt.datetime | None


@dataclass(frozen=True)
class MessageLine:
    """One message with its recipients; `visibility` is who may read it."""

    subject: str
    template_label: str
    at: dt.datetime
    visibility: str
    deliveries: tuple[DeliveryLine, ...]


def list_told(incident: Incident) -> tuple[MessageLine, ...]:
    """The newest messages about the incident with their deliveries (two queries)."""
    messages = Message.objects.filter(incident=incident).prefetch_related("deliveries")[:MESSAGES]
    return tuple(_message(message) for message in messages)


def _message(message: Message) -> MessageLine:
    deliveries = list(message.deliveries.all())
    shown = [_delivery(delivery) for delivery in deliveries[:DELIVERIES]]
    return MessageLine(
        subject=message.subject,
        template_label=str(Template(message.template).label),
        at=message.created_at,
        visibility="internal",
        deliveries=tuple(shown),
    )


def _delivery(delivery: Delivery) -> DeliveryLine:
    return DeliveryLine(
        channel=delivery.channel,
        recipient=delivery.recipient,
        state=delivery.state,
        state_label=str(DeliveryState(delivery.state).label),
        at=delivery.sent_at,
    )
