"""Doors for events: which people and which other systems are told what about what happened."""

from __future__ import annotations

import datetime as dt

from comms.services.escalation import keep_clocks
from comms.services.messages import has_route, queue_messages
from comms.services.snapshot import want_snapshot
from comms.services.webhooks import queue_webhooks
from core.models import Event


def route_event(event: Event, now: dt.datetime) -> None:
    """Queue the messages that the playbook's routing asks for; idempotent by (event, template)."""
    queue_messages(event=event, now=now)


def is_routed(kind: str) -> bool:
    """Whether `route_event` has anything to do."""
    return has_route(kind)


def keep_escalation(event: Event, now: dt.datetime) -> None:
    """Start, move and end the clocks that page people; idempotent, what the incident says decides."""
    keep_clocks(event=event, now=now)


def refresh_status_page(event: Event, now: dt.datetime) -> None:
    """What became secret leaves the page on disk as well, and at once; idempotent."""
    want_snapshot(now=now)


def tell_webhooks(event: Event, now: dt.datetime) -> None:
    """Queue a delivery for every webhook that asks for such events; idempotent by (endpoint, event)."""
    queue_webhooks(event=event, now=now)
