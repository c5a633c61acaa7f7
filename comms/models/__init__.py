"""The tables of this app, one module per aggregate."""

from comms.models.connections import ConnectionSettings
from comms.models.contacts import Contact
from comms.models.messages import Delivery, Message
from comms.models.status import (
    Component,
    ComponentDay,
    PublicIncident,
    PublicUpdate,
    StatusSnapshot,
    Subscriber,
)

__all__ = [
    "Component",
    "ComponentDay",
    "ConnectionSettings",
    "Contact",
    "Delivery",
    "Message",
    "PublicIncident",
    "PublicUpdate",
    "StatusSnapshot",
    "Subscriber",
]
