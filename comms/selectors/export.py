"""What the export of an incident says of its messages; the format: docs/export.md."""

from __future__ import annotations

from typing import Any

from comms.models import Message
from core.actors import Actor
from incidents.models import Incident

_MESSAGE = (
    "template", "visibility", "audiences", "channels", "subject", "body", "state", "created_at", "drafted_by",
    "approved_at", "finished_at",
)  # fmt: skip
_DELIVERY = ("channel", "state", "attempts", "created_at", "sent_at")


def messages_of(_actor: Actor, incident: Incident) -> list[dict[str, Any]]:
    """Every one with its deliveries, the oldest first: how they went, never to which address."""
    rows = Message.objects.filter(incident=incident).order_by("pk")
    return [
        {
            **{name: getattr(row, name) for name in _MESSAGE},
            "about_event": row.event.seq,
            "deliveries": [
                {name: getattr(delivery, name) for name in _DELIVERY} for delivery in row.deliveries.all()
            ],
        }
        for row in rows.select_related("event").prefetch_related("deliveries")
    ]
