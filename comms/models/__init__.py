"""The tables of this app, one module per aggregate."""

from comms.models.connections import ConnectionSettings
from comms.models.contacts import Contact
from comms.models.escalation import EscalationClock
from comms.models.messages import Delivery, Message
from comms.models.webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "ConnectionSettings",
    "Contact",
    "Delivery",
    "EscalationClock",
    "Message",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
