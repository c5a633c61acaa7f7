"""The tables of this app, one module per aggregate."""

from comms.models.connections import ConnectionSettings
from comms.models.contacts import Contact
from comms.models.escalation import EscalationClock
from comms.models.messages import Delivery, Message
from comms.models.status import (
    Component,
    ComponentDay,
    PublicIncident,
    PublicUpdate,
    StatusSnapshot,
    Subscriber,
)
from comms.models.webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "Component",
    "ComponentDay",
    "ConnectionSettings",
    "Contact",
    "Delivery",
    "EscalationClock",
    "Message",
    "PublicIncident",
    "PublicUpdate",
    "StatusSnapshot",
    "Subscriber",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
